"""A vendor's batch API over real sockets that keeps a batch under way until told, and then errs as asked."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

MODEL = "a-model"


@dataclass
class BatchVendor:
    """OpenAI's files and batches. Results come in reverse order.

    `held` keeps the batch in progress, `busy` answers so many looks with 503. `refused` requests get a 400,
    `expired` ones were not come to, of `lost` ones nothing is said; numbers are places in the file.
    """

    held: bool = False
    busy: int = 0
    refused: tuple[int, ...] = ()
    expired: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    looks: int = 0
    created: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        """The application that is it."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.post("/v1/files", self._upload),
                web.get("/v1/files/{id}/content", self._content),
                web.post("/v1/batches", self._create),
                web.get("/v1/batches", self._list),
                web.get("/v1/batches/{id}", self._look),
                web.post("/v1/batches/{id}/cancel", self._cancel),
            ]
        )
        return app

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": MODEL}]})

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        assert form["purpose"] == "batch"
        file = form["file"]
        assert isinstance(file, web.FileField)
        self.lines = [json.loads(line) for line in file.file.read().splitlines()]
        return web.json_response({"id": "file-in", "object": "file"})

    async def _create(self, request: web.Request) -> web.Response:
        self.created = await request.json()
        return web.json_response(self._page("validating"))

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [self._page("in_progress")] if self.created else []})

    async def _look(self, _: web.Request) -> web.Response:
        self.looks += 1
        if self.busy:
            self.busy -= 1
            return web.json_response({"error": {"message": "try later"}}, status=503)
        return web.json_response(self._page("in_progress" if self.held else "completed"))

    async def _cancel(self, _: web.Request) -> web.Response:
        self.held = False
        return web.json_response(self._page("cancelling"))

    def _page(self, status: str) -> dict[str, Any]:
        over, now = status == "completed", int(time.time())
        bad = len(self.refused) + len(self.expired)
        counts = {"total": len(self.lines), "completed": len(self.lines) - bad if over else 0,
                  "failed": bad if over else 0}  # fmt: skip
        return {
            "id": "batch_1", "object": "batch", "status": status, "request_counts": counts,
            "created_at": now, "in_progress_at": now, "completed_at": now if over else None,
            "metadata": self.created["metadata"], "output_file_id": "file-out" if over else None,
            "error_file_id": "file-bad" if over else None,
        }  # fmt: skip

    async def _content(self, request: web.Request) -> web.Response:
        bad = request.match_info["id"] == "file-bad"
        found = [
            self._line(at)
            for at in reversed(range(len(self.lines)))
            if at not in self.lost and (at in (*self.refused, *self.expired)) == bad
        ]
        return web.Response(text="\n".join(map(json.dumps, found)))

    def _line(self, at: int) -> dict[str, Any]:
        name = self.lines[at]["custom_id"]
        if at in self.expired:
            error = {"code": "batch_expired", "message": "This request could not be executed in time."}
            return {"id": f"r{at}", "custom_id": name, "response": None, "error": error}
        status, body = 200, _answer(at)
        if at in self.refused:
            status, body = (
                400,
                {"error": {"message": "max_tokens is too large", "type": "invalid_request_error"}},
            )
        response = {"status_code": status, "request_id": f"q{at}", "body": body}
        return {"id": f"r{at}", "custom_id": name, "response": response, "error": None}


def _answer(at: int) -> dict[str, Any]:
    """An answer whose count of output tokens tells which request it is of."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1000, "completion_tokens": 100 + at, "total_tokens": 1100 + at}
    return {"id": "c", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}
