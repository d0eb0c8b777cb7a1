"""`/v1/batches`: files of requests, answered in whatever room the engine has left.

Each batch is run by the front process that took it; its page in the folder says how far it is, so every front
can tell, and a file beside it asks for it to be cancelled. A batch that its server did not live to finish is
marked as failed at the next start.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Any

import orjson

from loadlab.server.bodies import ApiError, Document, read_document
from loadlab.server.files import Folder

Work = Callable[[str, Document], Awaitable[tuple[int, bytes]]]
ENDPOINTS = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
MESSAGES = "/v1/messages"  # whose batches are begun at an address of their own
WINDOW_S = 24 * 3600
MOST_LINES = 50_000  # as OpenAI has it
_SHOWN_PROBLEMS = 20
_AT_ONCE = 32
_LOOK_S = 0.1  # how often it is looked whether a batch was cancelled, and its page brought up to date
_UNDER_WAY = ("validating", "in_progress", "finalizing")


class Batches:
    """Takes batches and runs them; `work` answers one line with a status and a document."""

    def __init__(self, folder: Folder, work: Work, window_s: float = WINDOW_S) -> None:
        self._folder, self._work, self._window_s = folder, work, window_s
        self._running: set[asyncio.Task[None]] = set()

    def create(self, body: bytes) -> dict[str, Any]:
        """Begins a batch; its page. Raises ApiError."""
        return self.begin(self._checked(read_document(body)))

    def begin(self, asked: Document) -> dict[str, Any]:
        """Begins a batch of a file that is there; its page."""
        page = _new_page(asked, self._window_s)
        self._folder.write(page)
        task = asyncio.create_task(_Batch(self._folder, page, self._work).run(self._window_s))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return page

    def page(self, batch_id: str) -> dict[str, Any]:
        """How far it is. Raises ApiError."""
        page = self._folder.read("batch", batch_id)
        asked = page["status"] in _UNDER_WAY and _marker(self._folder, page).exists()
        return _cancelling(page) if asked else page

    def pages(self) -> dict[str, Any]:
        """All batches that were begun here."""
        return {"object": "list", "data": self.of(*ENDPOINTS), "has_more": False}

    def of(self, *endpoints: str) -> list[dict[str, Any]]:
        """The batches of these endpoints, newest first."""
        return [page for page in self._folder.pages("batch") if page["endpoint"] in endpoints]

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Asks for its end; what is answered already is kept. Raises ApiError."""
        page = self._folder.read("batch", batch_id)
        if page["status"] not in _UNDER_WAY:
            raise ApiError(400, f"The batch '{batch_id}' is {page['status']}; there is nothing to cancel.")
        _marker(self._folder, page).touch()
        return _cancelling(page)

    async def stop(self) -> None:
        """Ends all batches under way as failed."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _checked(self, document: Document) -> Document:
        if document.get("endpoint") not in ENDPOINTS:
            raise ApiError(400, f"endpoint must be one of {', '.join(ENDPOINTS)}.", "endpoint")
        if document.get("completion_window") != "24h":
            raise ApiError(400, "completion_window must be '24h'.", "completion_window")
        if not isinstance(document.get("input_file_id"), str):
            raise ApiError(400, "input_file_id must name an uploaded file.", "input_file_id")
        self._folder.read("file", document["input_file_id"])
        return document


def fail_leftovers(folder: Folder) -> None:
    """Marks as failed what an earlier server left under way in the folder."""
    for page in folder.pages("batch"):
        if page["status"] in _UNDER_WAY:
            _marker(folder, page).unlink(missing_ok=True)
            folder.write(
                _failed(page, [_problem("server_stopped", "The server ended before the batch did.")])
            )


class _Batch:
    """One batch under way."""

    def __init__(self, folder: Folder, page: dict[str, Any], work: Work) -> None:
        self._folder, self._page, self._work = folder, page, work
        self._input = folder.content(page["input_file_id"])

    async def run(self, window_s: float) -> None:
        """From its validation to its end."""
        try:
            problems, total = await asyncio.to_thread(_inspect, self._input, self._page["endpoint"])
            if problems:
                self._folder.write(_failed(self._page, problems))
                return
            self._page["request_counts"]["total"] = total
            self._mark("in_progress")
            await self._answer_lines(window_s)
        except asyncio.CancelledError:
            self._folder.write(_failed(self._page, [_problem("server_stopped", "The server was stopped.")]))
            raise
        except OSError as error:
            self._folder.write(_failed(self._page, [_problem("storage_failed", str(error))]))
        finally:
            _marker(self._folder, self._page).unlink(missing_ok=True)

    async def _answer_lines(self, window_s: float) -> None:
        good = self._folder.add(f"{self._page['id']}_output.jsonl", "batch_output")
        bad = self._folder.add(f"{self._page['id']}_error.jsonl", "batch_output")
        with (
            self._input.open("rb") as asked,
            self._folder.content(good["id"]).open("wb") as done,
            self._folder.content(bad["id"]).open("wb") as failed,
        ):
            lines = (line for line in asked if line.strip())
            workers = [asyncio.create_task(self._work_off(lines, done, failed)) for _ in range(_AT_ONCE)]
            end = await self._watch(workers, window_s)
        self._page["output_file_id"] = self._kept(good)
        self._page["error_file_id"] = self._kept(bad)
        self._mark("finalizing")
        self._mark(end)

    async def _watch(self, workers: list[asyncio.Task[None]], window_s: float) -> str:
        """Lets the workers run to their end, or to the batch's; what that end is called."""
        deadline, end, open_ones = time.monotonic() + window_s, "completed", set(workers)
        try:
            while open_ones and end == "completed":
                done, open_ones = await asyncio.wait(open_ones, timeout=_LOOK_S)
                for worker in done:
                    worker.result()
                self._folder.write(self._page)
                end = self._end(deadline)
        finally:
            for worker in open_ones:
                worker.cancel()
            await asyncio.gather(*open_ones, return_exceptions=True)
        return end if open_ones else "completed"

    def _end(self, deadline: float) -> str:
        if _marker(self._folder, self._page).exists():
            return "cancelled"
        return "expired" if time.monotonic() > deadline else "completed"

    async def _work_off(self, lines: Iterator[bytes], done: IO[bytes], failed: IO[bytes]) -> None:
        for line in lines:
            asked = orjson.loads(line)
            status, body = await self._work(self._page["endpoint"], asked["body"])
            file, count = (done, "completed") if status == 200 else (failed, "failed")
            file.write(_result(asked["custom_id"], status, body))
            self._page["request_counts"][count] += 1

    def _kept(self, file: dict[str, Any]) -> str | None:
        """The id of a file with something in it; an empty one is dropped."""
        path = self._folder.content(file["id"])
        if path.stat().st_size:
            return str(self._folder.close(file)["id"])
        path.unlink()
        return None

    def _mark(self, status: str) -> None:
        self._page["status"] = status
        self._page[f"{status}_at"] = int(time.time())
        self._folder.write(self._page)


def _inspect(path: Path, endpoint: str) -> tuple[list[dict[str, Any]], int]:
    """What is wrong with an input file, and how many requests it has."""
    problems, seen, total = [], set[str](), 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            total += 1
            if wrong := _wrong(line, endpoint, seen):
                problems.append(_problem("invalid_line", wrong, number))
            if len(problems) >= _SHOWN_PROBLEMS:
                break
    if not total:
        problems.append(_problem("empty_file", "The input file has no requests."))
    if total > MOST_LINES:
        problems.append(_problem("too_many_lines", f"{total} requests; at most {MOST_LINES} in one batch."))
    return problems, total


def _wrong(line: bytes, endpoint: str, seen: set[str]) -> str | None:
    try:
        asked = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not valid JSON: {error}"
    if not isinstance(asked, dict) or not isinstance(asked.get("body"), dict):
        return "must be an object with custom_id, method, url and body"
    name = asked.get("custom_id")
    if not isinstance(name, str) or name in seen:
        return f"custom_id must be a text of its own, not {name!r}"
    seen.add(name)
    if (asked.get("method"), asked.get("url")) != ("POST", endpoint):
        return f"method and url must be POST and {endpoint}, as the batch's endpoint says"
    return None


def _result(custom_id: str, status: int, body: bytes) -> bytes:
    response = {
        "status_code": status,
        "request_id": f"req_{secrets.token_hex(12)}",
        "body": orjson.Fragment(body),
    }
    line = {
        "id": f"batch_req_{secrets.token_hex(12)}",
        "custom_id": custom_id,
        "response": response,
        "error": None,
    }
    return orjson.dumps(line) + b"\n"


def _problem(code: str, message: str, line: int | None = None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _new_page(asked: Document, window_s: float) -> dict[str, Any]:
    now = int(time.time())
    ends = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": f"batch_{secrets.token_hex(12)}",
        "object": "batch",
        "endpoint": asked["endpoint"],
        "errors": None,
        "input_file_id": asked["input_file_id"],
        "completion_window": "24h",
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + int(window_s),
        **{f"{end}_at": None for end in ends},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "metadata": asked.get("metadata"),
    }


def _failed(page: dict[str, Any], problems: list[dict[str, Any]]) -> dict[str, Any]:
    errors = {"object": "list", "data": problems}
    return {**page, "status": "failed", "failed_at": int(time.time()), "errors": errors}


def _cancelling(page: dict[str, Any]) -> dict[str, Any]:
    return {**page, "status": "cancelling", "cancelling_at": int(time.time())}


def _marker(folder: Folder, page: Document) -> Path:
    return folder.path / f"{page['id']}.cancel"
