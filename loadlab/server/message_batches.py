"""`/v1/messages/batches`: Anthropic's batches, carried out as any other; only what is said of them differs.

The requests come in the body and become a file of lines; answers are read from the files of the batch.
Source: docs.anthropic.com/en/api/creating-message-batches.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson

from loadlab.server.batches import MESSAGES, MOST_LINES, Batches
from loadlab.server.bodies import ApiError, Document, read_document
from loadlab.server.files import Folder

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OURS, _THEIRS = "batch_", "msgbatch_"
_LEFT = {"cancelled": "canceled", "expired": "expired"}


class MessageBatches:
    """The same batches under Anthropic's names."""

    def __init__(self, folder: Folder, batches: Batches) -> None:
        self._folder, self._batches = folder, batches

    def create(self, body: bytes) -> dict[str, Any]:
        """Begins a batch; its page. Raises ApiError."""
        requests = read_document(body).get("requests")
        if not isinstance(requests, list) or not 0 < len(requests) <= MOST_LINES:
            raise ApiError(400, f"requests must be a list of 1 to {MOST_LINES} requests.", "requests")
        lines, seen = [], set[str]()
        for at, request in enumerate(requests):
            lines.append(orjson.dumps(_line(request, f"requests[{at}]", seen)))
        file = self._folder.add("requests.jsonl", "batch")
        self._folder.content(file["id"]).write_bytes(b"\n".join(lines) + b"\n")
        asked = {"input_file_id": self._folder.close(file)["id"], "endpoint": MESSAGES}
        return self._shown(self._batches.begin(asked), len(lines))

    def page(self, batch_id: str) -> dict[str, Any]:
        """How far it is. Raises ApiError."""
        return self._shown(self._batches.page(_ours(batch_id)))

    def pages(self) -> dict[str, Any]:
        """All of them."""
        pages = [self._shown(page) for page in self._batches.of(MESSAGES)]
        ids = [page["id"] for page in pages]
        return {
            "data": pages,
            "has_more": False,
            "first_id": ids[0] if ids else None,
            "last_id": ids[-1] if ids else None,
        }

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Asks for its end; what is answered already is kept. Raises ApiError."""
        return self._shown(self._batches.cancel(_ours(batch_id)))

    def results(self, batch_id: str) -> bytes:
        """A line for every request, those without an answer too. Raises ApiError."""
        page = self._batches.page(_ours(batch_id))
        if not _ended(page):
            raise ApiError(400, f"The batch '{batch_id}' is not ended; it has no results yet.")
        return b"".join(orjson.dumps(line) + b"\n" for line in self._lines(page))

    def _lines(self, page: Document) -> Iterator[dict[str, Any]]:
        done = set()
        for name in ("output_file_id", "error_file_id"):
            for line in self._read(page[name]):
                done.add(line["custom_id"])
                yield {"custom_id": line["custom_id"], "result": _result(line["response"])}
        for line in self._read(page["input_file_id"]):
            if line["custom_id"] not in done:
                yield {"custom_id": line["custom_id"], "result": _left(page["status"])}

    def _read(self, file_id: str | None) -> Iterator[dict[str, Any]]:
        if file_id:
            with self._folder.content(file_id).open("rb") as file:
                yield from (orjson.loads(line) for line in file if line.strip())

    def _shown(self, page: Document, total: int | None = None) -> dict[str, Any]:
        counts = page["request_counts"]
        left = (total or counts["total"]) - counts["completed"] - counts["failed"]
        ended, batch_id = _ended(page), _THEIRS + page["id"].removeprefix(_OURS)
        unanswered = {"processing": 0, "canceled": 0, "expired": 0}
        errored = counts["failed"]
        if not ended:
            unanswered["processing"] = left
        elif page["status"] in _LEFT:
            unanswered[_LEFT[page["status"]]] = left
        else:
            errored += left
        ends = (page.get(f"{end}_at") for end in ("completed", "cancelled", "expired", "failed"))
        cancelling = page["status"] == "cancelling"
        return {
            "id": batch_id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "canceling" if cancelling else "in_progress",
            "request_counts": {"succeeded": counts["completed"], "errored": errored, **unanswered},
            "created_at": _iso(page["created_at"]),
            "expires_at": _iso(page["expires_at"]),
            "ended_at": _iso(next((at for at in ends if at), None)) if ended else None,
            "cancel_initiated_at": _iso(page.get("cancelling_at")),
            "archived_at": None,
            "results_url": f"/v1/messages/batches/{batch_id}/results" if ended else None,
        }


def _line(request: Any, where: str, seen: set[str]) -> dict[str, Any]:
    """One request as a line of a batch. Raises ApiError."""
    if not isinstance(request, dict) or not isinstance(request.get("params"), dict):
        raise ApiError(400, f"{where} must be an object with custom_id and params.", where)
    name = request.get("custom_id")
    if not isinstance(name, str) or not _CUSTOM_ID.fullmatch(name) or name in seen:
        raise ApiError(
            400, f"{where}.custom_id must be 1 to 64 letters, digits, - or _ of its own, not {name!r}.", where
        )
    seen.add(name)
    return {"custom_id": name, "method": "POST", "url": MESSAGES, "body": request["params"]}


def _result(response: Document) -> dict[str, Any]:
    if response["status_code"] == 200:
        return {"type": "succeeded", "message": response["body"]}
    return {"type": "errored", "error": response["body"]}


def _left(status: str) -> dict[str, Any]:
    """What is said of a request that the batch did not come to."""
    if status in _LEFT:
        return {"type": _LEFT[status]}
    error = {"type": "api_error", "message": "The server ended before the batch did."}
    return {"type": "errored", "error": {"type": "error", "error": error}}


def _ended(page: Document) -> bool:
    return page["status"] in ("completed", "failed", "expired", "cancelled")


def _ours(batch_id: str) -> str:
    return _OURS + batch_id.removeprefix(_THEIRS) if batch_id.startswith(_THEIRS) else batch_id


def _iso(at_s: int | None) -> str | None:
    return None if at_s is None else datetime.fromtimestamp(at_s, UTC).isoformat().replace("+00:00", "Z")
