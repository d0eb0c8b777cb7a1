"""When a request arrived: as its last byte reached the socket, by the kernel's own clock.

A server that is busy reads late. Stamped by its event loop, a request that waited for it in the socket would
seem to have come later than it did, and that wait would be missing from what the server says it took. Where
the kernel gives no stamp (other systems than Linux), a read is stamped as it returns.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
import time
from typing import Any

from aiohttp import web

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S

_TIMESTAMPNS = 35  # SO_TIMESTAMPNS and SCM_TIMESTAMPNS of Linux; the socket module has no name for them
_STAMP = struct.Struct("@ll")  # struct timespec on CLOCK_REALTIME
_ROOM = socket.CMSG_SPACE(_STAMP.size)
_BELIEVED_NS = 60 * NS_PER_S  # an older stamp tells of a wall clock that was set, not of a wait


class _Desk:
    """Where a socket leaves the stamp of a read for its protocol, which asyncio calls right after."""

    read_ns = 0


class _Door(socket.socket):
    """A connection whose reads are stamped."""

    desk: _Desk

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """See socket.socket."""
        data, notes, _, _ = self.recvmsg(size, _ROOM, flags)
        self.desk.read_ns = _arrived(notes)
        return data


class _Entrance(socket.socket):
    """A listening socket whose connections are doors, with the listener's own options."""

    desk: _Desk

    def accept(self) -> tuple[_Door, Any]:
        """See socket.socket."""
        descriptor, address = self._accept()  # type: ignore[attr-defined]
        door = _Door(self.family, self.type, self.proto, fileno=descriptor)
        door.desk = self.desk
        return door, address


def _arrived(notes: list[tuple[int, int, bytes]]) -> int:
    now, today = now_ns(), time.time_ns()
    for level, kind, stamp in notes:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMPNS):
            seconds, rest = _STAMP.unpack(stamp)
            age = today - seconds * NS_PER_S - rest
            return now - age if 0 <= age < _BELIEVED_NS else now
    return now


class StampedConnection(web.RequestHandler):
    """A connection that remembers when what it last read had arrived."""

    __slots__ = ("_desk", "read_ns")

    def __init__(self, server: web.Server, desk: _Desk, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop)
        self._desk = desk

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        if self._desk.read_ns:  # aiohttp itself calls too, to go on with what it had put aside
            self.read_ns, self._desk.read_ns = self._desk.read_ns, 0
        super().data_received(data)


async def listen(runner: web.AppRunner, sock: socket.socket, backlog: int) -> asyncio.Server:
    """Serves `runner`, which is set up, over stamped connections to the bound `sock`."""
    loop, server, desk = asyncio.get_running_loop(), runner.server, _Desk()
    assert server is not None
    entrance = _Entrance(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))
    entrance.desk = desk
    if sys.platform == "linux":
        entrance.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    return await loop.create_server(
        lambda: StampedConnection(server, desk, loop), sock=entrance, backlog=backlog
    )


def arrived_ns(request: web.Request) -> int:
    """When `request`, whose body has been read, was complete here; on `core.clock`."""
    connection = request.protocol
    assert isinstance(connection, StampedConnection)
    return connection.read_ns
