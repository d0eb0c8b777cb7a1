"""Several front processes on one port, before engine processes they share. This is their parent.

Each front is started by `spawn` with a socket of its own on the shared port (SO_REUSEPORT), over which the
kernel spreads the connections. An engine that died is started again when the first front asks for it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.reduction import send_handle
from socket import socket

from loadlab.core.errors import LoadlabError
from loadlab.server import engine, front_process
from loadlab.server.engine import Options
from loadlab.server.front import Shared, Stop, first
from loadlab.server.front_process import Asked, Down, Up
from loadlab.server.settings import Settings

_END_GRACE_S = 3.0
SPAWN = multiprocessing.get_context("spawn")


async def run(
    settings: Settings,
    options: Sequence[Options],
    shared: Shared,
    socks: Sequence[socket],
    on_ready: Callable[[str], None],
) -> None:
    """Serves until told to stop; `on_ready` gets the device. Raises LoadlabError when it cannot go on."""
    stop = Stop()
    keepers = [_Keeper(each, len(socks)) for each in options]
    fronts = [
        _Front(number, settings, shared.seen_by(number), sock, keepers) for number, sock in enumerate(socks)
    ]
    try:
        if await first(asyncio.gather(*(front.up for front in fronts)), stop.asked.wait()):
            on_ready(fronts[0].up.result())
            lost = asyncio.wait([front.gone for front in fronts], return_when=asyncio.FIRST_COMPLETED)
            if await first(lost, stop.asked.wait()):
                raise LoadlabError("a front process ended unexpectedly; its stderr says why.")
        await _drain(fronts, stop, settings.drain_s)
    finally:
        for front in fronts:
            front.end()
        for keeper in keepers:
            keeper.end()


async def _drain(fronts: Sequence[_Front], stop: Stop, limit_s: float) -> None:
    """Asks all fronts to stop, and again when told so or when it takes too long."""
    gone = asyncio.gather(*(front.gone for front in fronts))
    for waits_for in (stop.at_once.wait, partial(asyncio.sleep, _END_GRACE_S)):
        for front in fronts:
            front.ask_to_stop()
        try:
            async with asyncio.timeout(limit_s + _END_GRACE_S):
                if await first(asyncio.shield(gone), waits_for()):
                    return
        except TimeoutError:
            continue


class _Front:
    """A front process: `up` once it answers, `gone` once it has ended."""

    def __init__(
        self, number: int, settings: Settings, shared: Shared, sock: socket, keepers: Sequence[_Keeper]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.up: asyncio.Future[str] = loop.create_future()
        self.gone: asyncio.Future[None] = loop.create_future()
        self._number, self._keepers = number, keepers
        self._wire, theirs = SPAWN.Pipe()
        self._process: SpawnProcess = SPAWN.Process(
            target=front_process.main, args=(settings, shared, sock, theirs)
        )
        self._process.start()
        theirs.close()
        sock.close()  # it is the front's now: were it open here too, a dead front would still be connected to
        loop.add_reader(self._wire.fileno(), self._read)

    def ask_to_stop(self) -> None:
        """Tells it to finish; told again, it ends at once."""
        if not self.gone.done():
            self._process.terminate()

    def end(self) -> None:
        """Makes sure that it is gone."""
        asyncio.get_running_loop().remove_reader(self._wire.fileno())
        self._process.kill()
        self._process.join(_END_GRACE_S)
        self._wire.close()

    def _read(self) -> None:
        try:
            self._take(self._wire.recv())
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._wire.fileno())
            self.gone.set_result(None)
            self._fail("a front process ended before it was ready; its stderr says why.")

    def _take(self, message: Asked | Up | Down) -> None:
        if isinstance(message, Asked):
            pipe = self._keepers[message.engine].pipe_for(self._number)
            self._wire.send(message.engine)
            send_handle(self._wire, pipe.fileno(), self._process.pid)
            pipe.close()
        elif isinstance(message, Down):
            self._fail(message.message)
        elif not self.up.done():
            self.up.set_result(message.device)

    def _fail(self, words: str) -> None:
        if not self.up.done():
            self.up.set_exception(LoadlabError(words))
            self.up.exception()  # several fronts fail alike; one of them is told of


class _Keeper:
    """One engine process with a pipe for each front; a front that needs a second pipe gets a new engine."""

    def __init__(self, options: Options, fronts: int) -> None:
        self._options, self._fronts = options, fronts
        self._pipes: dict[int, Connection] = {}
        self._process: SpawnProcess | None = None

    def pipe_for(self, front: int) -> Connection:
        """That front's pipe to an engine that runs."""
        if front not in self._pipes:
            self._start()
        return self._pipes.pop(front)

    def end(self) -> None:
        """Ends the engine process."""
        while self._pipes:
            self._pipes.popitem()[1].close()
        if self._process:
            self._process.terminate()
            self._process.join(_END_GRACE_S)
            self._process.kill()

    def _start(self) -> None:
        self.end()
        pairs = [SPAWN.Pipe() for _ in range(self._fronts)]
        theirs = [pair[1] for pair in pairs]
        self._pipes = {number: pair[0] for number, pair in enumerate(pairs)}
        self._process = SPAWN.Process(target=engine.main, args=(theirs, self._options), daemon=True)
        self._process.start()
        for pipe in theirs:
            pipe.close()
