"""The HTTP surface: every route of one front process. Knows engines only as `job.Engine`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from loadlab.core.clock import now_ns
from loadlab.core.errors import LoadlabError
from loadlab.server import anthropic, openai, openai_reply, tokens
from loadlab.server.arrival import arrived_ns
from loadlab.server.batches import Batches
from loadlab.server.bodies import ApiError, Document, read_document
from loadlab.server.completions import ENGINE_HEADER, Completions
from loadlab.server.config import Config
from loadlab.server.controls import Controls
from loadlab.server.embeddings import Embeddings
from loadlab.server.exposition import Exposition
from loadlab.server.files import Files, Folder
from loadlab.server.guards import MESSAGES, key_guard, refusal, refusals
from loadlab.server.message_batches import MessageBatches
from loadlab.server.route import Lane, Router

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server is made of; put together in `serving`."""

    lanes: tuple[Lane, ...]
    controls: Controls
    exposition: Exposition
    embeddings: Embeddings
    folder: Folder
    api_key: str | None = None
    max_body_bytes: int = 8 << 20


class Api:
    """The routes of one front process."""

    def __init__(self, parts: Parts) -> None:
        self._router = Router(parts.lanes, parts.controls)
        self._completions = Completions(self._router, parts.controls)
        self._config = Config([lane.engine for lane in parts.lanes], parts.controls)
        self._embeddings, self._exposition = parts.embeddings, parts.exposition
        self._files = Files(parts.folder, MAX_FILE_BYTES)
        self._batches = Batches(parts.folder, self._line)
        self._message_batches = MessageBatches(parts.folder, self._batches)
        self._key, self._max_body_bytes = parts.api_key, parts.max_body_bytes
        self._main = parts.lanes[0].engine

    def app(self) -> web.Application:
        """The application that serves them."""
        guards: list[Middleware] = [refusals(self._max_body_bytes)]
        if self._key:
            guards.append(key_guard(self._key))
        app = web.Application(client_max_size=self._max_body_bytes, middlewares=guards)
        app.add_routes(
            [
                *self._completion_routes(),
                *self._file_routes(),
                *self._message_batch_routes(),
                *self._own_routes(),
            ]
        )
        app.on_response_prepare.append(self._sign)
        return app

    async def drain(self) -> None:
        """Takes no more requests and ends batches; returns once the requests it has are answered."""
        self._completions.closed = True
        await self._batches.stop()
        await self._completions.drained()

    async def close(self) -> None:
        """Ends batches and the embedding model; the engines are whoever's made them."""
        self._completions.closed = True
        await self._batches.stop()
        await self._embeddings.stop()

    def _completion_routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/chat/completions", self._chat),
            web.post("/v1/completions", self._text),
            web.post(MESSAGES, self._message),
            web.post(f"{MESSAGES}/count_tokens", self._count),
            web.post("/v1/embeddings", self._embed),
            web.get("/v1/models", self._models),
            web.post("/tokenize", _of_body(lambda body: tokens.tokenize(body, self._router))),
            web.post("/detokenize", _of_body(lambda body: tokens.detokenize(body, self._router))),
        ]

    def _file_routes(self) -> list[web.RouteDef]:
        files, batches = self._files, self._batches
        return [
            web.post("/v1/files", self._upload),
            web.get("/v1/files", _of_request(lambda _: files.pages())),
            web.get("/v1/files/{id}", _of_request(files.page)),
            web.delete("/v1/files/{id}", _of_request(files.delete)),
            web.get("/v1/files/{id}/content", self._content),
            web.post("/v1/batches", _of_body(lambda body: orjson.dumps(batches.create(body)))),
            web.get("/v1/batches", _of_request(lambda _: batches.pages())),
            web.get("/v1/batches/{id}", _of_request(lambda request: batches.page(_id(request)))),
            web.post("/v1/batches/{id}/cancel", _of_request(lambda request: batches.cancel(_id(request)))),
        ]

    def _message_batch_routes(self) -> list[web.RouteDef]:
        batches, place = self._message_batches, f"{MESSAGES}/batches"
        return [
            web.post(place, _of_body(lambda body: orjson.dumps(batches.create(body)))),
            web.get(place, _of_request(lambda _: batches.pages())),
            web.get(f"{place}/{{id}}", _of_request(lambda request: batches.page(_id(request)))),
            web.post(f"{place}/{{id}}/cancel", _of_request(lambda request: batches.cancel(_id(request)))),
            web.get(f"{place}/{{id}}/results", self._results),
        ]

    def _own_routes(self) -> list[web.RouteDef]:
        return [
            web.get("/health", self._health),
            web.get("/metrics", self._metrics),
            web.get("/config", _of_request(lambda _: self._config.document())),
            web.patch("/config", self._configure),
            web.get("/sim/ledger", self._ledger),
        ]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        ask = openai.parse_chat(await request.read())
        return await self._completions.answer(request, ask, openai_reply.reply, arrived_ns(request))

    async def _text(self, request: web.Request) -> web.StreamResponse:
        ask = openai.parse_text(await request.read())
        return await self._completions.answer(request, ask, openai_reply.reply, arrived_ns(request))

    async def _message(self, request: web.Request) -> web.StreamResponse:
        ask = anthropic.parse_messages(await request.read())
        return await self._completions.answer(request, ask, anthropic.AnthropicReply, arrived_ns(request))

    async def _count(self, request: web.Request) -> web.Response:
        _, prompt = self._router.choose(anthropic.parse_count(await request.read()))
        return _json(anthropic.count_document(len(prompt)))

    async def _embed(self, request: web.Request) -> web.Response:
        return _json(await self._embeddings.answer(await request.read()))

    async def _models(self, _: web.Request) -> web.Response:
        """What completes; the embedding model is left out, so that a client can take the only one listed."""
        return _json(openai.model_list(self._router.names()))

    async def _upload(self, request: web.Request) -> web.Response:
        return _json(orjson.dumps(await self._files.upload(request)))

    async def _content(self, request: web.Request) -> web.StreamResponse:
        return self._files.content(request)

    async def _results(self, request: web.Request) -> web.Response:
        body = self._message_batches.results(_id(request))
        return web.Response(body=body, content_type="application/x-jsonl")

    async def _health(self, _: web.Request) -> web.Response:
        engine, trouble = self._main, self._trouble()
        about = {"engine": engine.name, "model": engine.model, "device": engine.device}
        state = {"status": "ok"}
        if trouble:
            status = "restarting" if trouble.startswith("restarting") else "failed"
            state = {"status": status, "reason": trouble}
        if self._completions.closed:
            state = {"status": "draining"}
        restarts = sum(lane.engine.load().counts.restarts for lane in self._router.lanes)
        document = {**state, **about, "restarts": restarts}
        return _json(orjson.dumps(document), 200 if state["status"] == "ok" else 503)

    def _trouble(self) -> str | None:
        return next(filter(None, (lane.engine.trouble() for lane in self._router.lanes)), None)

    async def _metrics(self, _: web.Request) -> web.Response:
        kind = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=self._exposition.text(), headers={hdrs.CONTENT_TYPE: kind})

    async def _configure(self, request: web.Request) -> web.Response:
        await self._config.change(read_document(await request.read()))
        return _json(orjson.dumps(self._config.document()))

    async def _ledger(self, request: web.Request) -> web.Response:
        try:
            document = self._main.report(request.query)
        except ValueError as error:
            message = f"since_ns and until_ns are whole numbers of nanoseconds: {error}."
            raise ApiError(400, message) from error
        if document is None:
            raise ApiError(404, f"The engine '{self._main.name}' keeps no ledger; only 'sim' does.")
        return _json(document)

    async def _line(self, endpoint: str, body: Document) -> tuple[int, bytes]:
        """Answers one line of a batch."""
        try:
            if endpoint == "/v1/embeddings":
                return 200, await self._embeddings.answer_document(body)
            if endpoint == MESSAGES:
                ask, reply = anthropic.message_ask(body), anthropic.AnthropicReply
                return 200, await self._completions.batched(ask, reply, now_ns())
            ask = (openai.chat_ask if endpoint == "/v1/chat/completions" else openai.text_ask)(body)
            return 200, await self._completions.batched(ask, openai_reply.reply, now_ns())
        except LoadlabError as error:
            refused = refusal(error)
            dialect = anthropic if endpoint == MESSAGES else openai
            return refused.status, orjson.dumps(dialect.error_document(refused))

    async def _sign(self, _: web.Request, response: web.StreamResponse) -> None:
        """Every answer says which engine gave it, so that no simulation passes for a model."""
        response.headers.setdefault(ENGINE_HEADER, self._main.name)


def _of_body(answer: Callable[[bytes], bytes]) -> Handler:
    """A handler that makes a document of a body."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return _json(answer(await request.read()))

    return handler


def _of_request(answer: Callable[[web.Request], Mapping[str, Any]]) -> Handler:
    """A handler that makes a document of a request without a body."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return _json(orjson.dumps(answer(request)))

    return handler


def _id(request: web.Request) -> str:
    return request.match_info["id"]


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")
