"""When a request arrived: as its last byte was read, before any Python of ours had it wait its turn.

Many requests can come within a millisecond, and answering one takes a fifth of that. Stamped in its handler,
or read only between handlers, the last of them would seem to arrive milliseconds late, and that time would be
missing from what the server says it took. So a read is stamped at once and put in a line, and of that line
one is handled in each turn of the event loop: new arrivals wait for one handler at most.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque

from aiohttp import web

from loadlab.core.clock import now_ns

_AT_ONCE_OF = 16


class Line:
    """Reads that wait to be handled, in the order they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reads: deque[tuple[StampedConnection, bytes, int]] = deque()

    def put(self, connection: StampedConnection, data: bytes) -> None:
        """Stamps a read and lines it up."""
        self._reads.append((connection, data, now_ns()))
        if len(self._reads) == 1:
            self._loop.call_soon(self._handle_some)

    def _handle_some(self) -> None:
        """The next in line; of a long line several, lest tokens that are due keep it from getting shorter."""
        for _ in range(1 + len(self._reads) // _AT_ONCE_OF):
            connection, data, read_ns = self._reads.popleft()
            connection.handle(data, read_ns)
        if self._reads:
            self._loop.call_soon(self._handle_some)


class StampedConnection(web.RequestHandler):
    """A connection that remembers when it last read."""

    __slots__ = ("_line", "_lost", "read_ns")

    def __init__(self, server: web.Server, line: Line, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop)
        self._line, self._lost = line, False

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._line.put(self, data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol."""
        self._lost = True
        super().connection_lost(exc)

    def handle(self, data: bytes, read_ns: int) -> None:
        """Takes what was read at `read_ns`; what came in before the peer left is of no more use."""
        if not self._lost:
            self.read_ns = read_ns
            super().data_received(data)


async def listen(runner: web.AppRunner, sock: socket.socket, backlog: int) -> asyncio.Server:
    """Serves `runner`, which is set up, over stamped connections."""
    loop, server = asyncio.get_running_loop(), runner.server
    assert server is not None
    line = Line(loop)
    return await loop.create_server(lambda: StampedConnection(server, line, loop), sock=sock, backlog=backlog)


def arrived_ns(request: web.Request) -> int:
    """When `request`, whose body has been read, was complete here; on `core.clock`."""
    connection = request.protocol
    assert isinstance(connection, StampedConnection)
    return connection.read_ns
