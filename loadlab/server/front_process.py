"""One of several front processes: HTTP on a shared port, before engines that are not its own.

The parent keeps the engines. Over the wire to it go `Asked`, `Up` and `Down`; back come numbers of engines,
each followed by the handle of a pipe to that engine.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections import defaultdict
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle

from loadlab.core.errors import LoadlabError
from loadlab.server import front
from loadlab.server.engines import build_engines
from loadlab.server.front import Shared, Stop
from loadlab.server.settings import Settings


@dataclass(frozen=True, slots=True)
class Asked:
    """This front wants a pipe to an engine, the last one having broken."""

    engine: int


@dataclass(frozen=True, slots=True)
class Up:
    """This front answers; the device of the main engine."""

    device: str


@dataclass(frozen=True, slots=True)
class Down:
    """This front could not start."""

    message: str


def main(settings: Settings, shared: Shared, sock: socket.socket, wire: Connection) -> None:
    """Entry point of the process. It ends at the parent's signal, or with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the parent decides
    try:
        asyncio.run(_serve(settings, shared, sock, wire))
    except LoadlabError as error:
        wire.send(Down(str(error)))


async def _serve(settings: Settings, shared: Shared, sock: socket.socket, wire: Connection) -> None:
    stop = Stop()
    parent = _Parent(wire, stop)
    processes = len(settings.models()) * len(settings.devices())
    engines = build_engines(settings, [_Lent(parent, number) for number in range(processes)])
    await front.run(settings, engines, shared, sock, stop, lambda: wire.send(Up(engines[0].device)))


class _Parent:
    """Hands pipes on to whoever asked for them; without a parent there is nothing left to do."""

    def __init__(self, wire: Connection, stop: Stop) -> None:
        self._wire, self._stop = wire, stop
        self._pipes: defaultdict[int, asyncio.Queue[Connection]] = defaultdict(asyncio.Queue)
        asyncio.get_running_loop().add_reader(wire.fileno(), self._read)

    async def pipe(self, engine: int) -> Connection:
        """A pipe to an engine that runs, as soon as there is one."""
        self._wire.send(Asked(engine))
        return await self._pipes[engine].get()

    def _read(self) -> None:
        try:
            engine = self._wire.recv()
            self._pipes[engine].put_nowait(Connection(recv_handle(self._wire)))
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._wire.fileno())
            self._stop.insist()


class _Lent:
    """A line to an engine process that the parent keeps; see `supervision.Line`."""

    def __init__(self, parent: _Parent, engine: int) -> None:
        self._parent, self._engine = parent, engine

    async def open(self) -> Connection:
        return await self._parent.pipe(self._engine)

    def close(self) -> None:
        return
