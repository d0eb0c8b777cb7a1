"""A server that speaks one vendor's language over real sockets, with known timing.

    with VendorServer(vendor("anthropic"), first_s=0.1, gap_s=0.02) as server:
        run_against(server.url)

What comes before any output goes out at once, the first piece after `first_s`, the others every `gap_s`. It
refuses what that vendor would: a wrong path, a wrong key, another model, a temperature where `refuses` says
so. It knows nothing of the client. In scope: HTTP and WebSocket, in one piece or streamed.
"""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from loadlab.testing.vendors import MODEL, Vendor


@dataclass(slots=True)
class VendorServer:
    """Serves from `__enter__` to `__exit__`; `asked` holds the headers (names in small letters) of every
    request it answered well, `bodies` what came with it.

    `words` pieces of output come per answer. With `key`, some header must contain it. With `whole`, an answer
    comes in one piece even where a stream was asked for. `lists` are the models it tells of, none by default.
    """

    vendor: Vendor
    first_s: float = 0.05
    gap_s: float = 0.01
    words: int = 10
    key: str = ""
    refuses: str = ""
    whole: bool = False
    lists: tuple[str, ...] = ()
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    port: int = 0
    _ready: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The URL without a path: what the dialect adds must lead to the vendor's own."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        return runner

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and request.path.endswith("/models") and self.lists:
            return web.json_response({"data": [{"id": name} for name in self.lists]})
        raw = await request.read()
        if refusal := self._refusal(request, raw):
            return refusal
        self.asked.append({name.lower(): value for name, value in request.headers.items()})
        self.bodies.append(raw)
        if self.vendor.conversation:
            return await self._converse(request)
        if self.vendor.answers is None or self.whole:
            await asyncio.sleep(self.first_s)
            assert self.vendor.document
            return web.Response(body=self.vendor.document("all of it"), content_type="application/json")
        return await self._stream(request)

    def _refusal(self, request: web.Request, raw: bytes) -> web.Response | None:
        path = self.vendor.path.partition("?")[0]
        if request.rel_url.raw_path not in (path, path.replace("%3A", ":")):
            return self._no(404, f"no such path: {request.path}")
        if self.key and not any(self.key in value for value in request.headers.values()):
            return self._no(401, "this key is not known")
        model = _fields(raw).get("model", MODEL)
        if model != MODEL:
            return self._no(404, f"the model {model} does not exist")
        if self.refuses and f'"{self.refuses}"'.encode() in raw:
            return self._no(400, f"Unsupported value: '{self.refuses}' is not supported with this model")
        return None

    def _no(self, status: int, words: str) -> web.Response:
        return web.Response(status=status, body=self.vendor.refusal(words), content_type="application/json")

    def _script(self) -> tuple[list[bytes], list[bytes], list[bytes]]:
        """What comes at once, what is paced, and what comes with the last piece."""
        vendor = self.vendor
        assert vendor.answers
        pieces = list(vendor.answers([f"word{number} " for number in range(self.words)]))
        return [*vendor.opening, *vendor.noise], pieces, list(vendor.ending(True))

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": self.vendor.content_type})
        await response.prepare(request)
        await self._play(response.write)
        await response.write_eof()
        return response

    async def _converse(self, request: web.Request) -> web.WebSocketResponse:
        talk = web.WebSocketResponse()
        await talk.prepare(request)
        async for message in talk:
            if message.type is web.WSMsgType.TEXT:  # sound comes before it, and nothing after
                break

        async def say(piece: bytes) -> None:
            await talk.send_str(piece.decode())

        await self._play(say)
        await talk.close()
        return talk

    async def _play(self, say: Any) -> None:
        at_once, pieces, last = self._script()
        for piece in at_once:
            await say(piece)
        due = self._loop.time() + self.first_s
        for piece in pieces:
            await asyncio.sleep(max(0.0, due - self._loop.time()))
            await say(piece)
            due += self.gap_s
        for piece in last:
            await say(piece)


def _fields(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
