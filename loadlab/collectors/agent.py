"""The other end of `--gpu-url`: a small HTTP server beside an inference server, handing out GPU readings.

It reads and remembers; who asks gets what is new since they asked last, and a clock to set theirs by. It
takes no commands. `/metrics` is the same for Prometheus, the newest value of each.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import islice

from aiohttp import web

from loadlab.collectors import Collector
from loadlab.core.clock import anchor, now_ns
from loadlab.core.nouns import Reading

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEPT = 50_000  # at ten readings a second, a minute of eight GPUs


class GpuAgent:
    """Reads one collector and answers over HTTP. `token`: what a caller must show; None asks none."""

    def __init__(self, collector: Collector, token: str | None = None) -> None:
        self._collector, self._token = collector, token
        self._id = secrets.token_hex(8)
        self._own_ns, self._utc_ns = anchor()
        self._kept: deque[Reading] = deque(maxlen=_KEPT)
        self._count = 0
        self._newest: dict[tuple[str, str], float] = {}
        self.absent = ""

    def app(self) -> web.Application:
        """The application; reading begins and ends with it."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/clock", self._clock)
        app.router.add_get("/readings", self._readings)
        app.router.add_get("/metrics", self._metrics)
        app.cleanup_ctx.append(self._reading)
        return app

    async def _reading(self, _: web.Application) -> AsyncIterator[None]:
        self.absent = await self._collector.open() or ""
        task = None if self.absent else asyncio.create_task(self._read_forever())
        yield
        if task:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._collector.close()

    async def _read_forever(self) -> None:
        while True:
            found = await self._collector.read()
            self._kept.extend(found)
            self._count += len(found)
            self._newest.update(((reading.device, reading.metric), reading.value) for reading in found)
            await asyncio.sleep(self._collector.period_s)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if self._token and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise web.HTTPUnauthorized(text="this agent wants a token: Authorization: Bearer …\n")
        return await handler(request)

    async def _clock(self, _: web.Request) -> web.Response:
        return web.json_response({"agent": self._id, "utc_ns": self._utc(now_ns())})

    async def _readings(self, request: web.Request) -> web.Response:
        """What came after the place that the caller names; -1 stands for now, so for nothing yet."""
        after = _place(request.query.get("after", "0"))
        new = min(max(0, self._count - after), len(self._kept)) if after >= 0 else 0
        rows = list(islice(reversed(self._kept), new))
        return web.json_response(
            {
                "next": self._count,
                "readings": [
                    [self._utc(row.at_ns), row.device, row.metric, row.value] for row in reversed(rows)
                ],
                "notes": self._collector.notes,
                "absent": self.absent,
            }
        )

    async def _metrics(self, _: web.Request) -> web.Response:
        lines = [
            f'loadlab_gpu_{metric}{{gpu="{device}"}} {value!r}'
            for (device, metric), value in sorted(self._newest.items())
            if "." not in metric  # numbers of single processes
        ]
        return web.Response(text="\n".join([*lines, ""]))

    def _utc(self, at_ns: int) -> int:
        """UTC that cannot jump: that of the agent's start, plus what the monotonic clock has run since."""
        return self._utc_ns + (at_ns - self._own_ns)


def _place(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise web.HTTPBadRequest(text="after=N wants a number\n") from error
