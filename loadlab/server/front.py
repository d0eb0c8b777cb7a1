"""One front process from socket to clean stop. Knows signals, and how the parts fit together."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aiohttp import web

from loadlab.server import address, metrics
from loadlab.server.api import Api, Parts
from loadlab.server.arrival import listen
from loadlab.server.board import Board
from loadlab.server.controls import Controls
from loadlab.server.embeddings import MODEL, Embed, Embeddings, SimEmbedder
from loadlab.server.exposition import Exposition, Told, part
from loadlab.server.files import Folder
from loadlab.server.job import Engine
from loadlab.server.loads import keep_noting, newest
from loadlab.server.metrics import OPEN, Tally
from loadlab.server.route import Lane
from loadlab.server.settings import Settings

_STOP_GRACE_S = 1.0
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Shared:
    """What front processes have in common: counts, loads, controls, and the folder of files."""

    counts: Board
    loads: Board
    controls: Board
    folder: Path

    def seen_by(self, front: int) -> Shared:
        """The same for another front process."""
        return replace(self, counts=self.counts.seen_by(front), loads=self.loads.seen_by(front))


class Stop:
    """When to stop: `asked` at the first signal, `at_once` at Ctrl-C or the second."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.asked, self.at_once = asyncio.Event(), asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, self.ask)
        loop.add_signal_handler(signal.SIGINT, self.insist)

    def ask(self) -> None:
        """Stop when what runs is done; asked again, at once."""
        if self.asked.is_set():
            self.at_once.set()
        self.asked.set()

    def insist(self) -> None:
        """Stop now."""
        self.at_once.set()
        self.asked.set()


async def run(
    settings: Settings,
    engines: Sequence[Engine],
    shared: Shared,
    sock: socket.socket,
    stop: Stop,
    on_ready: Callable[[], None],
) -> None:
    """Starts the engines and serves them on `sock` until told to stop; what runs then may take `drain_s`."""
    starting = asyncio.gather(*(engine.start() for engine in engines))
    noting = asyncio.ensure_future(keep_noting(engines, shared.loads))
    api: Api | None = None
    runner: web.AppRunner | None = None
    try:
        if not await first(starting, stop.asked.wait()):
            return
        api = Api(parts(settings, engines, shared))
        runner = web.AppRunner(
            api.app(), handler_cancellation=True, access_log=None, shutdown_timeout=_STOP_GRACE_S
        )
        await runner.setup()
        listener = await _listen(settings, runner, sock)
        _settle_memory()
        on_ready()
        await stop.asked.wait()
        listener.close()
        sock.close()  # the listener had a copy of it
        await _drain(api, stop, settings.drain_s)
    finally:
        starting.cancel()
        noting.cancel()
        if api:
            await api.close()
        for engine in engines:
            await engine.stop()
        if runner:
            await runner.cleanup()


async def _listen(settings: Settings, runner: web.AppRunner, sock: socket.socket) -> asyncio.Server:
    try:
        return await listen(runner, sock, _BACKLOG)
    except OSError as error:  # two starters may both have bound; only one can listen
        raise address.refusal(settings.host, settings.port, error) from error


async def first(wanted: Awaitable[object], other: Awaitable[object]) -> bool:
    """Whether `wanted` ended before `other`, which is then given up. Raises what `wanted` raises."""
    tasks = asyncio.ensure_future(wanted), asyncio.ensure_future(other)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    tasks[1].cancel()
    if tasks[0].done():
        await tasks[0]
    return tasks[0].done()


async def _drain(api: Api, stop: Stop, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await first(api.drain(), stop.at_once.wait())
    except TimeoutError:
        return


def parts(settings: Settings, engines: Sequence[Engine], shared: Shared) -> Parts:
    """What the API of this process is made of."""
    controls = Controls(shared.controls.mine)
    return Parts(
        lanes=tuple(_lane(engine, shared.counts, at) for at, engine in enumerate(engines)),
        controls=controls,
        exposition=Exposition([_told(engine, shared, at) for at, engine in enumerate(engines)]),
        embeddings=_embeddings(engines[0]),
        folder=Folder(shared.folder),
        api_key=settings.api_key(),
        max_body_bytes=settings.max_body_mib << 20,
    )


def _lane(engine: Engine, counts: Board, at: int) -> Lane:
    cell = at * metrics.WIDTH + OPEN
    return Lane(
        engine,
        Tally(counts.mine[at * metrics.WIDTH : (at + 1) * metrics.WIDTH]),
        lambda: int(counts.total(cell, cell + 1)[0]),
    )


def _told(engine: Engine, shared: Shared, at: int) -> Told:
    controls = Controls(shared.controls.mine)
    return Told(
        engine.model,
        part(shared.counts, at),
        lambda: newest(shared.loads, at, engine.load),
        lambda: {**engine.settings(), **controls.document()},
    )


def _embeddings(engine: Engine) -> Embeddings:
    if engine.name == "sim":
        return Embeddings(SimEmbedder, f"{engine.model}-embed")
    return Embeddings(_minilm, MODEL)


def _minilm() -> Embed:
    from loadlab.server.embedder import Embedder

    return Embedder()


def _settle_memory() -> None:
    """A full collection stops every stream for milliseconds: take what is alive now out of its sight."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
