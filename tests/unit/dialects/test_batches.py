"""Batch languages: what is sent is what vendors document, and what they answer is understood."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loadlab import dialects
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Message, Request
from loadlab.dialects import batches

ENDPOINT = Endpoint("https://vendor.test/v1", "m", headers={"X-Own": "yes"})
ASKED = Request((Message("user", "Grüße?"),), max_tokens=7, stream=False)


def calls(dialect: str) -> dict[str, dialects.Call]:
    return {f"run-{seq}": dialects.get(dialect).encode(ENDPOINT, ASKED) for seq in range(2)}


@pytest.mark.parametrize("dialect", [name for name in batches.BATCHES if name != "anthropic"])
def test_openai_takes_a_file_and_a_batch(dialect: str) -> None:
    language = batches.of(dialect)
    upload = language.upload(ENDPOINT, calls(dialect))
    assert upload
    assert (upload.method, upload.url) == ("POST", "https://vendor.test/v1/files")
    assert upload.headers["X-Own"] == "yes"
    boundary = upload.headers["Content-Type"].partition("boundary=")[2].encode()
    purpose, file, _ = upload.body.split(b"--" + boundary)[1:]
    assert b'name="purpose"\r\n\r\nbatch' in purpose
    lines = [json.loads(line) for line in file.partition(b"\r\n\r\n")[2].split()]
    path = calls(dialect)["run-0"].url.removeprefix("https://vendor.test")
    assert [(line["custom_id"], line["method"], line["url"]) for line in lines] == [
        ("run-0", "POST", path), ("run-1", "POST", path),
    ]  # fmt: skip
    assert lines[0]["body"] == json.loads(calls(dialect)["run-0"].body)
    create = language.create(ENDPOINT, calls(dialect), "file-1", "run")
    assert json.loads(create.body) == {
        "input_file_id": "file-1", "endpoint": path, "completion_window": "24h",
        "metadata": {"loadlab_run": "run"},
    }  # fmt: skip


def test_anthropic_takes_the_requests_at_once() -> None:
    language = batches.of("anthropic")
    assert language.upload(ENDPOINT, calls("anthropic")) is None
    create = language.create(ENDPOINT, calls("anthropic"), "", "run")
    assert create.url == "https://vendor.test/v1/messages/batches"
    assert create.headers["anthropic-version"]
    first = json.loads(create.body)["requests"][0]
    assert (first["custom_id"], first["params"]["max_tokens"]) == ("run-0", 7)
    assert language.look(ENDPOINT, "b").url.endswith("/v1/messages/batches/b")


OPENAI: list[tuple[dict[str, Any], tuple[int | None, str | None]]] = [
    ({"custom_id": "a", "response": {"status_code": 200, "body": {}}, "error": None}, (200, None)),
    ({"custom_id": "a", "response": {"status_code": 400, "body": {}}, "error": None}, (400, None)),
    ({"custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": "x"}},
     (None, "batch_expired")),
    ({"custom_id": "a", "response": None, "error": None}, (None, "batch_failed")),
]  # fmt: skip
ANTHROPIC: list[tuple[dict[str, Any], tuple[int | None, str | None]]] = [
    ({"custom_id": "a", "result": {"type": "succeeded", "message": {}}}, (200, None)),
    ({"custom_id": "a", "result": {"type": "errored", "error": {"type": "error", "error": {
        "type": "invalid_request_error", "message": "no"}}}}, (400, None)),
    ({"custom_id": "a", "result": {"type": "errored", "error": {"type": "new"}}}, (500, None)),
    ({"custom_id": "a", "result": {"type": "canceled"}}, (None, "batch_canceled")),
    ({"custom_id": "a", "result": {"type": "expired"}}, (None, "batch_expired")),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "said", "meant"), [
    *(("openai-chat", *case) for case in OPENAI), *(("anthropic", *case) for case in ANTHROPIC),
])  # fmt: skip
def test_a_line_tells_what_became_of_a_request(
    dialect: str, said: dict[str, Any], meant: tuple[int | None, str | None]
) -> None:
    line = batches.of(dialect).line(json.dumps(said).encode())
    assert (line.custom_id, line.status, line.failed) == ("a", *meant)


@pytest.mark.parametrize(
    ("word", "over"), [("validating", False), ("in_progress", False), ("finalizing", False),
                       ("completed", True), ("failed", True), ("expired", True), ("cancelling", False),
                       ("cancelled", True)],
)  # fmt: skip
def test_openai_says_when_it_is_over(word: str, over: bool) -> None:
    errors = {"data": [{"code": "invalid_line", "message": "line 1 is bad"}]} if word == "failed" else None
    state = batches.of("openai-chat").state({"id": "b", "status": word, "errors": errors, "created_at": 5})
    assert (state.over, state.times) == (over, {"created": 5.0})
    assert state.error == ("line 1 is bad" if errors else None)


def test_anthropic_says_when_it_is_over() -> None:
    counts = {"processing": 1, "succeeded": 2, "errored": 3, "canceled": 4, "expired": 5}
    page = {"id": "b", "processing_status": "ended", "request_counts": counts,
            "created_at": "2026-11-01T00:00:00Z", "ended_at": "2026-11-01T00:01:00Z"}  # fmt: skip
    state = batches.of("anthropic").state(page)
    assert (state.over, state.counts["total"], state.counts["failed"]) == (True, 15, 3)
    assert state.times["ended"] - state.times["created"] == 60


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
@pytest.mark.parametrize("said", [b"[]", b"{}", b"not json", b'{"custom_id": 3}'])
def test_what_is_no_line_is_refused(dialect: str, said: bytes) -> None:
    with pytest.raises(ValueError):
        batches.of(dialect).line(said)
    with pytest.raises(ValueError):
        batches.of(dialect).state({"error": "x"})


def test_where_there_are_no_batches_it_is_said() -> None:
    with pytest.raises(UsageError, match="there are no batches of tgi"):
        batches.of("tgi")
