"""Batch APIs, sans-IO: many requests handed in together, answered when there is room, fetched at the end.

What a line asks and what its answer means is the dialect's; this is how lines are handed in and looked after.
Source: platform.openai.com/docs/api-reference/batch, docs.anthropic.com/en/api/creating-message-batches and
the types of openai 3.52 and anthropic 2.11, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import orjson

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
from loadlab.dialects.answer import words
from loadlab.dialects.anthropic import VERSION
from loadlab.dialects.calls import address
from loadlab.dialects.forms import form

_WINDOW = "24h"


class Line(NamedTuple):
    """What became of one request: a status with a body, or the kind of its failure and words."""

    custom_id: str
    status: int | None
    body: bytes = b""
    failed: str | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class State:
    """How far a batch is. `word` is the vendor's own; `over` says that nothing more will come.

    `counts`: total, succeeded, failed and what else the vendor counts. `times`: created, started, ended, in
    epoch seconds of the vendor's clock. `error` says why there are no answers at all.
    """

    id: str
    word: str
    over: bool
    counts: Mapping[str, int]
    times: Mapping[str, float] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    error: str | None = None


class BatchLanguage(Protocol):
    """How one vendor's batches are handed in, looked at, and fetched."""

    @property
    def name(self) -> str:
        """Whose shape it is: openai or anthropic."""

    def upload(self, endpoint: Endpoint, asked: Mapping[str, Call]) -> Call | None:
        """What must be sent before: a file with all requests by custom id; None where nothing must."""

    def create(self, endpoint: Endpoint, asked: Mapping[str, Call], uploaded: str, run_id: str) -> Call:
        """Begins the batch; `uploaded` is the id that the upload's answer gave."""

    def look(self, endpoint: Endpoint, batch_id: str) -> Call:
        """Asks how far it is."""

    def cancel(self, endpoint: Endpoint, batch_id: str) -> Call:
        """Asks for its end."""

    def listing(self, endpoint: Endpoint) -> Call | None:
        """Asks for the newest batches; None where the list cannot tell whose they are."""

    def begun(self, document: Mapping[str, Any], run_id: str) -> str | None:
        """The id of the batch of this run in a list."""

    def state(self, document: Mapping[str, Any]) -> State:
        """What an answer says of the batch. Raises ValueError for one that says nothing."""

    def results(self, endpoint: Endpoint, state: State) -> list[Call]:
        """Asks for the answers, which come as a JSON line each."""

    def line(self, raw: bytes) -> Line:
        """One of them. Raises ValueError."""


@dataclass(frozen=True, slots=True)
class OpenAIBatches:
    """Files and batches; `path` is what each line is sent to."""

    path: str
    name: str = "openai"

    def upload(self, endpoint: Endpoint, asked: Mapping[str, Call]) -> Call | None:
        """See BatchLanguage."""
        lines = b"\n".join(
            orjson.dumps(
                {"custom_id": name, "method": "POST", "url": self.path, "body": orjson.Fragment(call.body)}
            )
            for name, call in asked.items()
        )
        kind, body = form({"purpose": "batch"}, "batch.jsonl", lines + b"\n", "application/jsonl")
        url = address(endpoint, "/files", "/v1")
        return Call("POST", url, {"Content-Type": kind, **endpoint.headers}, body)

    def create(self, endpoint: Endpoint, asked: Mapping[str, Call], uploaded: str, run_id: str) -> Call:
        """See BatchLanguage."""
        body = {
            "input_file_id": uploaded,
            "endpoint": self.path,
            "completion_window": _WINDOW,
            "metadata": {"loadlab_run": run_id},
        }
        return _post(endpoint, "/batches", body)

    def look(self, endpoint: Endpoint, batch_id: str) -> Call:
        """See BatchLanguage."""
        return _get(endpoint, f"/batches/{batch_id}")

    def cancel(self, endpoint: Endpoint, batch_id: str) -> Call:
        """See BatchLanguage."""
        return _post(endpoint, f"/batches/{batch_id}/cancel")

    def listing(self, endpoint: Endpoint) -> Call | None:
        """See BatchLanguage."""
        return _get(endpoint, "/batches?limit=100")

    def begun(self, document: Mapping[str, Any], run_id: str) -> str | None:
        """See BatchLanguage."""
        mine = (
            str(entry["id"])
            for entry in document.get("data", ())
            if (entry.get("metadata") or {}).get("loadlab_run") == run_id
        )
        return next(mine, None)

    def state(self, document: Mapping[str, Any]) -> State:
        """See BatchLanguage."""
        if not isinstance(document.get("id"), str) or not isinstance(document.get("status"), str):
            raise ValueError(f"no batch in {str(document)[:200]}")
        word, counts = document["status"], document.get("request_counts") or {}
        ends = [document.get(f"{end}_at") for end in ("completed", "failed", "expired", "cancelled")]
        times = {
            "created": document.get("created_at"),
            "started": document.get("in_progress_at"),
            "ended": next((at for at in ends if at), None),
        }
        problems = [words(problem) for problem in (document.get("errors") or {}).get("data") or ()]
        return State(
            document["id"],
            word,
            word in ("completed", "failed", "expired", "cancelled"),
            {
                "total": counts.get("total", 0),
                "succeeded": counts.get("completed", 0),
                "failed": counts.get("failed", 0),
            },
            {name: float(at) for name, at in times.items() if at},
            tuple(file for name in ("output", "error") if (file := document.get(f"{name}_file_id"))),
            "; ".join(problems[:3]) or None,
        )

    def results(self, endpoint: Endpoint, state: State) -> list[Call]:
        """See BatchLanguage."""
        return [_get(endpoint, f"/files/{file}/content") for file in state.files]

    def line(self, raw: bytes) -> Line:
        """See BatchLanguage."""
        document = _object(raw)
        response, error = document.get("response"), document.get("error")
        if response:
            return Line(document["custom_id"], int(response["status_code"]), orjson.dumps(response["body"]))
        code = str((error or {}).get("code") or "failed").removeprefix("batch_")
        return Line(document["custom_id"], None, b"", f"batch_{code}", words(error))


@dataclass(frozen=True, slots=True)
class MessageBatches:
    """Anthropic's message batches, whose requests travel in the body that begins one."""

    name: str = "anthropic"

    def upload(self, endpoint: Endpoint, asked: Mapping[str, Call]) -> Call | None:
        """See BatchLanguage."""
        return None

    def create(self, endpoint: Endpoint, asked: Mapping[str, Call], uploaded: str, run_id: str) -> Call:
        """See BatchLanguage."""
        requests = [{"custom_id": name, "params": orjson.Fragment(call.body)} for name, call in asked.items()]
        return _post(endpoint, "/messages/batches", {"requests": requests}, _ANTHROPIC)

    def look(self, endpoint: Endpoint, batch_id: str) -> Call:
        """See BatchLanguage."""
        return _get(endpoint, f"/messages/batches/{batch_id}", _ANTHROPIC)

    def cancel(self, endpoint: Endpoint, batch_id: str) -> Call:
        """See BatchLanguage."""
        return _post(endpoint, f"/messages/batches/{batch_id}/cancel", None, _ANTHROPIC)

    def listing(self, endpoint: Endpoint) -> Call | None:
        """See BatchLanguage."""
        return None

    def begun(self, document: Mapping[str, Any], run_id: str) -> str | None:
        """See BatchLanguage."""
        return None

    def state(self, document: Mapping[str, Any]) -> State:
        """See BatchLanguage."""
        if not isinstance(document.get("id"), str) or "processing_status" not in document:
            raise ValueError(f"no batch in {str(document)[:200]}")
        word, said = str(document["processing_status"]), dict(document.get("request_counts") or {})
        counts = {"total": sum(said.values()), "failed": said.pop("errored", 0), **said}
        times = {"created": document.get("created_at"), "ended": document.get("ended_at")}
        return State(
            document["id"],
            word,
            word == "ended",
            counts,
            {name: datetime.fromisoformat(at).timestamp() for name, at in times.items() if at},
        )

    def results(self, endpoint: Endpoint, state: State) -> list[Call]:
        """See BatchLanguage. The address in the answer is not followed: the key goes to the endpoint only."""
        return [_get(endpoint, f"/messages/batches/{state.id}/results", _ANTHROPIC)]

    def line(self, raw: bytes) -> Line:
        """See BatchLanguage."""
        document = _object(raw)
        result = document["result"]
        match result["type"]:
            case "succeeded":
                return Line(document["custom_id"], 200, orjson.dumps(result["message"]))
            case "errored":
                error = result.get("error") or {}
                return Line(document["custom_id"], _status(error), orjson.dumps(error))
            case kind:
                return Line(document["custom_id"], None, b"", f"batch_{kind}", f"the request {kind}")


_ANTHROPIC = {"anthropic-version": VERSION}
_STATUSES = {
    "invalid_request_error": 400, "authentication_error": 401, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "overloaded_error": 529,
}  # fmt: skip

BATCHES: Mapping[str, BatchLanguage] = {
    "openai-chat": OpenAIBatches("/v1/chat/completions"),
    "openai-completions": OpenAIBatches("/v1/completions"),
    "openai-responses": OpenAIBatches("/v1/responses"),
    "openai-embeddings": OpenAIBatches("/v1/embeddings"),
    "anthropic": MessageBatches(),
}


def of(dialect: str) -> BatchLanguage:
    """How batches of that dialect are handed in. Raises UsageError where there are none."""
    if dialect not in BATCHES:
        raise UsageError(f"there are no batches of {dialect}; there are of {', '.join(BATCHES)}.")
    return BATCHES[dialect]


def _get(endpoint: Endpoint, path: str, headers: Mapping[str, str] | None = None) -> Call:
    return Call("GET", address(endpoint, path, "/v1"), {**(headers or {}), **endpoint.headers})


def _post(endpoint: Endpoint, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Call:
    kind = {"Content-Type": "application/json"} if body is not None else {}
    url = address(endpoint, path, "/v1")
    sent = b"" if body is None else orjson.dumps(body)
    return Call("POST", url, {**kind, **(headers or {}), **endpoint.headers}, sent)


def _object(raw: bytes) -> dict[str, Any]:
    document = orjson.loads(raw)
    if not isinstance(document, dict) or not isinstance(document.get("custom_id"), str):
        raise ValueError(f"no line of a batch: {raw[:200]!r}")
    return document


def _status(error: Mapping[str, Any]) -> int:
    """The status that an error would have come with; in a batch there is only its name."""
    inner = error.get("error") if isinstance(error.get("error"), dict) else error
    return _STATUSES.get(str((inner or {}).get("type")), 500)
