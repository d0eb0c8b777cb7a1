"""Where a server listens: sockets bound and named, and in words why one cannot be had."""

from __future__ import annotations

import errno
import socket

from loadlab.core.errors import UsageError


def bind(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A bound, not yet listening socket; `shared` with others of this server. Raises UsageError."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, proto)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        raise refusal(host, port, error) from error
    return sock


def bind_several(host: str, port: int, count: int) -> list[socket.socket]:
    """So many sockets on one port, which nobody else may have. Raises UsageError."""
    with bind(host, port) as probe:  # a shared port would be shared with strangers too, and not be refused
        free = probe.getsockname()[1]
    return [bind(host, free, shared=True) for _ in range(count)]


def refusal(host: str, port: int, error: OSError) -> UsageError:
    """What to tell the user about an address that cannot be listened on."""
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is already in use; choose another with --port.")
    return UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}; check --host and --port.")


def url(sock: socket.socket) -> str:
    """How clients reach it."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
