"""One request from question to answer, whatever the dialect: placed, judged, handed to an engine, answered.

Knows engines only as `job.Engine` and dialects only as an `Ask` and a `Reply`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from aiohttp import web

from loadlab.server.answers import Reply, StreamAnswer, WholeAnswer
from loadlab.server.bodies import ApiError, Ask
from loadlab.server.cache import KeepingSink, Kept, ResponseCache, key_of
from loadlab.server.controls import Controls
from loadlab.server.job import EngineError, Job, Sink
from loadlab.server.metrics import HITS, LOOKUPS, REFUSED, Watch
from loadlab.server.openai_reply import Pieces
from loadlab.server.route import HEADER, Lane, Router

ReplyTo = Callable[[Ask, str, Pieces], Reply]
CACHE_HEADER = "x-loadlab-cache"
ENGINE_HEADER = "x-loadlab-engine"
_EVENTS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_BATCH = 1  # the engine's priority class that only fills idle room
_RETRY_AFTER_S = 1


@dataclass(frozen=True, slots=True)
class Order:
    """A request that was placed: everything about it while it is under way."""

    ask: Ask
    lane: Lane
    job: Job
    reply: Reply
    watch: Watch
    key: Hashable | None
    kept: Kept | None

    @property
    def headers(self) -> dict[str, str]:
        """Who answers, and whether from the cache."""
        return {ENGINE_HEADER: self.lane.engine.name, CACHE_HEADER: "hit" if self.kept else "miss"}


class Completions:
    """Takes questions until it is closed; what it has taken is still answered then."""

    def __init__(self, router: Router, controls: Controls) -> None:
        self._router, self._controls = router, controls
        self._cache = ResponseCache()
        self._open = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    async def answer(
        self, request: web.Request, ask: Ask, reply_to: ReplyTo, arrival_ns: int
    ) -> web.StreamResponse:
        """Answers over HTTP. Raises ApiError or EngineError while nothing has been written yet."""
        with self._placed(ask, reply_to, arrival_ns, request.headers.get(HEADER)) as order:
            if ask.stream:
                return await self._stream(request, order)
            return web.Response(
                body=await self._whole(order), headers=order.headers, content_type="application/json"
            )

    async def batched(self, ask: Ask, reply_to: ReplyTo, arrival_ns: int) -> bytes:
        """The document that answers one line of a batch. Raises ApiError or EngineError."""
        with self._placed(replace(ask, stream=False), reply_to, arrival_ns, None, _BATCH) as order:
            return await self._whole(order)

    async def drained(self) -> None:
        """Returns when nothing is under way."""
        await self._idle.wait()

    @contextmanager
    def _placed(
        self, ask: Ask, reply_to: ReplyTo, arrival_ns: int, side: str | None, priority: int = 0
    ) -> Iterator[Order]:
        order = self._order(ask, reply_to, arrival_ns, side, priority)
        self._open += 1
        self._idle.clear()
        try:
            yield order
        except EngineError as error:
            if error.status == 400:
                order.watch.refused()
            order.watch.finish("error")
            raise
        finally:  # also when the client went away: its place is free at once
            order.lane.engine.abort(order.job.id)
            order.watch.finish("abort")
            self._open -= 1
            if not self._open:
                self._idle.set()

    def _order(self, ask: Ask, reply_to: ReplyTo, arrival_ns: int, side: str | None, priority: int) -> Order:
        if self.closed:
            raise ApiError(503, "The server is shutting down and takes no more requests.")
        lane, prompt = self._router.choose(ask, side)
        _check_length(lane.engine.context, len(prompt), ask)
        ask = self._limited(ask)
        if trouble := lane.engine.trouble():
            soon = _RETRY_AFTER_S if trouble.startswith("restarting") else None
            raise ApiError(503, trouble, retry_after_s=soon)
        reply = reply_to(ask, lane.engine.model, lane.engine.pieces)
        job = Job(reply.id, prompt, arrival_ns, ask.sampling, priority)
        key, kept = self._look_up(lane, ask, job)
        if not priority and not kept:
            self._check_queue(lane)
        watch = Watch(lane.tally, arrival_ns, len(prompt), quiet=bool(priority))
        return Order(ask, lane, job, reply, watch, key, kept)

    def _limited(self, ask: Ask) -> Ask:
        """An answer without a limit of its own gets the server's. Raises ApiError for one above it."""
        most, asked = self._controls.max_new_tokens, ask.sampling.max_tokens
        if not most:
            return ask
        if asked is None:
            return replace(ask, sampling=replace(ask.sampling, max_tokens=most))
        if asked > most:
            raise ApiError(400, f"max_tokens may be {most} here, not {asked}.", "max_tokens")
        return ask

    def _check_queue(self, lane: Lane) -> None:
        """Raises ApiError when as many wait as may."""
        most = self._controls.max_waiting
        if most and (waiting := lane.waiting()) >= most:
            lane.tally.counts[REFUSED] += 1
            message = f"{waiting} requests are waiting, as many as may; ask again later."
            raise ApiError(429, message, code="queue_full", retry_after_s=_RETRY_AFTER_S)

    def _look_up(self, lane: Lane, ask: Ask, job: Job) -> tuple[Hashable | None, Kept | None]:
        if not (self._controls.response_cache and ask.repeatable):
            return None, None
        key = key_of(lane.engine.model, job)
        kept = self._cache.get(key, self._controls.response_cache_ttl_s)
        lane.tally.counts[LOOKUPS] += 1
        lane.tally.counts[HITS] += kept is not None
        return key, kept

    def _submit(self, order: Order, sink: Sink) -> None:
        if order.kept:
            order.kept.replay(sink)
        elif order.key is not None:
            order.lane.engine.submit(order.job, KeepingSink(sink, self._cache, order.key))
        else:
            order.lane.engine.submit(order.job, sink)

    async def _stream(self, request: web.Request, order: Order) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_EVENTS, **order.headers})
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the client left before it was answered")
        answer = StreamAnswer(order.reply, order.watch, transport, chunked=request.version >= (1, 1))
        if order.kept:
            await response.prepare(request)
            self._submit(order, answer)
        else:
            self._submit(order, answer)  # first, so that a refusal still has a status line
            await response.prepare(request)  # runs through without a pause: no token can overtake the headers
        await answer.ended
        await response.write_eof()
        return response

    async def _whole(self, order: Order) -> bytes:
        answer = WholeAnswer(order.reply, order.watch)
        self._submit(order, answer)
        document = await answer.ended
        if answer.failure:
            raise EngineError(answer.failure)
        return document


def _check_length(context: int, prompt_tokens: int, ask: Ask) -> None:
    wanted = ask.sampling.max_tokens or 1
    if not prompt_tokens:
        raise ApiError(400, "The prompt is empty.", "prompt")
    if prompt_tokens + wanted > context:
        message = (
            f"This model's context is {context} tokens, but {prompt_tokens + wanted} were asked for: "
            f"{prompt_tokens} in the prompt and {wanted} to generate. Ask for fewer."
        )
        raise ApiError(400, message, "messages" if ask.chat else "prompt", "context_length_exceeded")
