"""When a request arrived: as its last byte was read, before any Python of ours had it wait its turn.

Many requests can come in one turn of the event loop. Stamped in their handlers, the last of them would seem
to arrive milliseconds late, and that time would be missing from what the server says it took.
"""

from __future__ import annotations

import asyncio
import socket

from aiohttp import web

from loadlab.core.clock import now_ns


class StampedConnection(web.RequestHandler):
    """A connection that remembers when it last read."""

    __slots__ = ("read_ns",)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.read_ns = now_ns()
        super().data_received(data)


async def listen(runner: web.AppRunner, sock: socket.socket, backlog: int) -> asyncio.Server:
    """Serves `runner`, which is set up, over stamped connections."""
    loop, server = asyncio.get_running_loop(), runner.server
    assert server is not None

    def connection() -> StampedConnection:
        return StampedConnection(server, loop=loop)

    return await loop.create_server(connection, sock=sock, backlog=backlog)


def arrived_ns(request: web.Request) -> int:
    """When `request`, whose body has been read, was complete here; on `core.clock`."""
    connection = request.protocol
    assert isinstance(connection, StampedConnection)
    return connection.read_ns
