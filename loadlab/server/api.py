"""The HTTP surface: routes, errors, key and limits. Knows engines only as `job.Engine`."""

from __future__ import annotations

import hmac
import traceback

import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from loadlab.server import openai
from loadlab.server.answers import StreamAnswer, WholeAnswer
from loadlab.server.arrival import arrived_ns
from loadlab.server.job import Engine, EngineError, Job
from loadlab.server.metrics import Metrics, Watch
from loadlab.server.openai import ApiError, Ask, Reply

BODY_LIMIT_BYTES = 8 << 20


def create_app(engine: Engine, api_key: str | None = None) -> web.Application:
    """The application of one engine; with `api_key`, every /v1 route asks for it."""
    api = _Api(engine)
    guards: list[Middleware] = [_errors, _key_guard(api_key)] if api_key else [_errors]
    app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=guards)
    app.router.add_post("/v1/chat/completions", api.chat)
    app.router.add_post("/v1/completions", api.text)
    app.router.add_get("/v1/models", api.models)
    app.router.add_get("/health", api.health)
    app.router.add_get("/metrics", api.metrics)
    app.router.add_get("/config", api.settings)
    app.router.add_patch("/config", api.configure)
    app.router.add_get("/sim/ledger", api.ledger)
    app.on_response_prepare.append(api.sign)
    app.on_shutdown.append(api.shutdown)
    return app


class _Api:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._metrics = Metrics(engine.model, engine.load)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        ask = openai.parse_chat(await request.read(), self._engine.model)
        return await self._answer(request, ask, arrived_ns(request))

    async def text(self, request: web.Request) -> web.StreamResponse:
        ask = openai.parse_text(await request.read(), self._engine.model)
        return await self._answer(request, ask, arrived_ns(request))

    async def models(self, _: web.Request) -> web.Response:
        return _json(openai.model_list([self._engine.model], self._engine.context))

    async def health(self, _: web.Request) -> web.Response:
        engine, trouble = self._engine, self._engine.trouble()
        about = {"engine": engine.name, "model": engine.model, "device": engine.device}
        state = {"status": "failed", "reason": trouble} if trouble else {"status": "ok"}
        return _json(orjson.dumps({**state, **about}), 503 if trouble else 200)

    async def settings(self, _: web.Request) -> web.Response:
        return _json(orjson.dumps({"settings": self._engine.settings()}))

    async def configure(self, request: web.Request) -> web.Response:
        try:
            changes = orjson.loads(await request.read())
        except orjson.JSONDecodeError as error:
            raise ApiError(400, f"The body is not valid JSON: {error}.", code="invalid_json") from error
        if not isinstance(changes, dict):
            raise ApiError(400, "The body must be a JSON object of settings.")
        await self._engine.configure(changes)
        return await self.settings(request)

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.text(), headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def ledger(self, request: web.Request) -> web.Response:
        try:
            document = self._engine.report(request.query)
        except ValueError as error:
            raise ApiError(
                400, f"since_ns and until_ns are whole numbers of nanoseconds: {error}."
            ) from error
        if document is None:
            words = f"The engine '{self._engine.name}' keeps no ledger; only 'sim' does."
            raise ApiError(404, words)
        return _json(document)

    async def sign(self, _: web.Request, response: web.StreamResponse) -> None:
        """Every answer says which engine gave it, so that no simulation passes for a model."""
        response.headers["x-loadlab-engine"] = self._engine.name

    async def shutdown(self, _: web.Application) -> None:
        await self._engine.stop()

    async def _answer(self, request: web.Request, ask: Ask, arrival_ns: int) -> web.StreamResponse:
        prompt = self._encode(ask)
        self._check_length(len(prompt), ask)
        reply = Reply(ask.chat, self._engine.model)
        job = Job(reply.id, prompt, arrival_ns, ask.sampling)
        watch = Watch(self._metrics, arrival_ns, len(prompt))
        try:
            return await (self._stream if ask.stream else self._whole)(request, ask, job, reply, watch)
        except EngineError:
            watch.finish("error")
            raise
        finally:  # also when the client went away: its place is free at once
            self._engine.abort(job.id)
            watch.finish("abort")

    def _encode(self, ask: Ask) -> list[int]:
        if ask.turns:
            return self._engine.encode_chat(ask.turns)
        return self._engine.encode(ask.prompt) if isinstance(ask.prompt, str) else list(ask.prompt)

    def _check_length(self, prompt_tokens: int, ask: Ask) -> None:
        context, wanted = self._engine.context, ask.sampling.max_tokens or 1
        if not prompt_tokens:
            raise ApiError(400, "The prompt is empty.", "prompt")
        if prompt_tokens + wanted > context:
            message = (
                f"This model's context is {context} tokens, but {prompt_tokens + wanted} were asked for: "
                f"{prompt_tokens} in the prompt and {wanted} to generate. Ask for fewer."
            )
            raise ApiError(400, message, "messages" if ask.chat else "prompt", "context_length_exceeded")

    async def _stream(
        self, request: web.Request, ask: Ask, job: Job, reply: Reply, watch: Watch
    ) -> web.StreamResponse:
        self._check_health()
        response = web.StreamResponse(
            headers={hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8", hdrs.CACHE_CONTROL: "no-cache"}
        )
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left before it was answered")
        chunked = request.version >= (1, 1)
        answer = StreamAnswer(reply, watch, transport, chunked=chunked, include_usage=ask.include_usage)
        self._engine.submit(job, answer)  # first, so that a refusal still has a status line
        await response.prepare(request)  # runs through without a pause: no token can overtake the headers
        await answer.ended
        await response.write_eof()
        return response

    async def _whole(
        self, request: web.Request, ask: Ask, job: Job, reply: Reply, watch: Watch
    ) -> web.StreamResponse:
        self._check_health()
        answer = WholeAnswer(reply, watch)
        self._engine.submit(job, answer)
        document = await answer.ended
        if answer.failure:
            raise EngineError(answer.failure)
        return _json(document)

    def _check_health(self) -> None:
        if trouble := self._engine.trouble():
            raise EngineError(trouble, 503)


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal leaves in OpenAI's shape."""
    try:
        return await handler(request)
    except ApiError as error:
        return _json(error.body(), error.status)
    except EngineError as error:
        return _refusal(error.status, str(error))
    except web.HTTPException as error:
        return _refusal(error.status, _explain(request, error))
    except ConnectionResetError:
        raise
    except Exception:
        traceback.print_exc()
        return _refusal(500, "The server failed on this request; its stderr has the traceback.")


def _explain(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return f"The body is larger than {BODY_LIMIT_BYTES} bytes; send less."
    return f"{request.method} {request.path}: {error.reason}."


def _key_guard(key: str) -> Middleware:
    expected = f"Bearer {key}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
        if request.path.startswith("/v1/") and not hmac.compare_digest(given, expected):
            message = "This server asks for an API key: send it as 'Authorization: Bearer KEY'."
            raise ApiError(401, message, code="invalid_api_key")
        return await handler(request)

    return guard


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def _refusal(status: int, message: str) -> web.Response:
    return _json(orjson.dumps(openai.error_document(status, message)), status)
