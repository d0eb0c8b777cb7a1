"""Opening a connection and moving bytes over it: TCP, or TLS through memory BIOs on the same socket.

A transport never blocks; `open_transport` blocks only its own greenlet. Both transports read alike, so
whoever watches the socket need not know which it has.
"""

from __future__ import annotations

import _socket
import errno
import os
import ssl
from collections.abc import Sequence
from typing import Any, Protocol

import gevent
from gevent import socket as gsocket

from loadlab.core.clock import now_ns
from loadlab.wire.route import Origin, Proxy

_READ = 65536
_TUNNEL_HEAD_LIMIT = 65536


class Transport(Protocol):
    """A connected, non-blocking byte channel. All but `fileno` and `close` raise OSError when it broke."""

    def fileno(self) -> int:
        """The descriptor to watch."""

    def pull(self) -> bytes | None:
        """What has arrived; b"" at the end of the stream, None when nothing is there yet."""

    def push(self, data: bytes) -> int | None:
        """Takes over `data` and hands to the kernel what it accepts.

        Gives the time in ns just before the last byte was accepted, None while some are left for `flush`.
        """

    def flush(self) -> int | None:
        """Hands over more of what `push` left; gives what `push` gives."""

    def close(self) -> None:
        """Closes at once."""


class Tcp:
    """Plain bytes."""

    __slots__ = ("_recv", "_rest", "_sock")

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self._rest: bytes | memoryview = b""

    def fileno(self) -> int:
        """See Transport."""
        return self._sock.fileno()

    def pull(self) -> bytes | None:
        """See Transport."""
        try:
            return self._recv(_READ)
        except BlockingIOError:
            return None

    def push(self, data: bytes) -> int | None:
        """See Transport."""
        self._rest = bytes(self._rest) + data if self._rest else data
        return self.flush()

    def flush(self) -> int | None:
        """See Transport."""
        while True:
            before = now_ns()
            try:
                sent = self._sock.send(self._rest)
            except BlockingIOError:
                return None
            if sent == len(self._rest):
                self._rest = b""
                return before
            self._rest = memoryview(self._rest)[sent:]

    def close(self) -> None:
        """See Transport."""
        self._sock.close()


class Tls:
    """TLS over TCP; records are decrypted in memory, so one watcher of the socket serves both."""

    __slots__ = ("_below", "_in", "_object", "_out")

    def __init__(self, below: Tcp, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._handshake()

    def _handshake(self) -> None:
        while True:
            try:
                self._object.do_handshake()
            except ssl.SSLWantReadError:
                push_all(self._below, self._out.read())
                gsocket.wait_read(self.fileno())
                self._receive()
            else:
                push_all(self._below, self._out.read())
                return

    def _receive(self) -> bool:
        """Takes what the socket holds; False when nothing new came."""
        data = self._below.pull()
        if data is None:
            return False
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()
        return True

    def fileno(self) -> int:
        """See Transport."""
        return self._below.fileno()

    def pull(self) -> bytes | None:
        """See Transport. Records that carry no data (a session ticket, a new key) give None."""
        if not self._receive():
            return None
        parts = []
        try:
            while part := self._object.read(_READ):
                parts.append(part)
        except ssl.SSLWantReadError:
            if self._out.pending:  # TLS itself has something to answer
                self._below.push(self._out.read())
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return b"".join(parts)

    def push(self, data: bytes) -> int | None:
        """See Transport."""
        self._object.write(data)
        return self._below.push(self._out.read())

    def flush(self) -> int | None:
        """See Transport."""
        return self._below.flush()

    def close(self) -> None:
        """See Transport."""
        self._below.close()


class ConnectError(Exception):
    """A connection that could not be opened; `kind` is an error kind of docs/errors.md."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def open_transport(
    origin: Origin, proxy: Proxy | None, context: ssl.SSLContext | None, timeout_s: float, *, tunnel: bool
) -> tuple[Transport, int, int]:
    """(transport, set-up time, TLS part of it), times in ns. Raises ConnectError.

    With `tunnel`, a proxy is asked for a tunnel; without, it is left to read the requests themselves.
    """
    started = now_ns()
    limit = gevent.Timeout(timeout_s)
    try:
        with limit:
            tcp = _reach(origin, proxy, tunnel=tunnel)
            connected = now_ns()
            transport = tcp if context is None else _secure(tcp, context, origin.host)
    except gevent.Timeout as expired:
        if expired is not limit:
            raise
        words = f"no connection to {origin.authority} within {timeout_s:g} s"
        raise ConnectError("connect_timeout", words) from None
    done = now_ns()
    return transport, done - started, done - connected if context else 0


def _reach(origin: Origin, proxy: Proxy | None, *, tunnel: bool) -> Tcp:
    if proxy is None:
        return Tcp(_connect(origin.host, origin.port))
    tcp = Tcp(_connect(proxy.host, proxy.port))
    if tunnel:
        _dig(tcp, origin, proxy)
    return tcp


def _dig(tcp: Tcp, origin: Origin, proxy: Proxy) -> None:
    """Asks for a tunnel."""
    try:
        status = _ask_for_tunnel(tcp, proxy.tunnel(origin))
    except OSError as error:
        status = error.strerror or str(error)
    except BaseException:
        tcp.close()
        raise
    if status.split(" ")[1:2] != ["200"]:
        tcp.close()
        raise ConnectError("proxy", f"the proxy {proxy.host}:{proxy.port} gave no tunnel: '{status[:80]}'")


def _ask_for_tunnel(tcp: Tcp, request: bytes) -> str:
    """The status line. The answer ends at its blank line: nothing of the other end can follow it yet."""
    push_all(tcp, request)
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _TUNNEL_HEAD_LIMIT:
        gsocket.wait_read(tcp.fileno())
        data = tcp.pull()
        if data == b"":
            break
        answer += data or b""
    return answer.split(b"\r\n", 1)[0].decode("latin-1")


def _secure(tcp: Tcp, context: ssl.SSLContext, host: str) -> Tls:
    try:
        return Tls(tcp, context, host)
    except BaseException as error:
        tcp.close()
        if isinstance(error, OSError):
            raise ConnectError("tls", f"TLS with {host} failed: {error}") from error
        raise


def push_all(transport: Transport, data: bytes) -> None:
    """Hands over all of `data`, waiting where it must."""
    at = transport.push(data)
    while at is None:
        gsocket.wait_write(transport.fileno())
        at = transport.flush()


def _connect(host: str, port: int) -> _socket.socket:
    """A connection to the first address of `host` that takes it, in the resolver's order."""
    failure: OSError | None = None
    for family, kind, protocol, _, address in _resolve(host, port):
        try:
            return _connect_to(_socket.socket(family, kind, protocol), address)
        except OSError as error:
            failure = error
    assert failure is not None  # a resolver that finds no address says so itself
    words = f"{host}:{port}: {failure.strerror or failure}"
    if failure.errno == errno.ECONNREFUSED:
        raise ConnectError("connect_refused", words)
    raise ConnectError("unreachable", words)


def _resolve(host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[object, ...]]]:
    numeric = _socket.AI_NUMERICHOST | _socket.AI_NUMERICSERV
    try:  # an address needs no resolver, and so none of the few threads that wait for one
        return _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM, 0, numeric)
    except (_socket.gaierror, UnicodeError):
        pass
    try:
        found: Sequence[Any] = gsocket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)
    except (gsocket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConnectError("dns", f"host name '{host}' cannot be resolved: {reason}") from error
    return found


def _connect_to(sock: _socket.socket, address: tuple[object, ...]) -> _socket.socket:
    try:
        sock.setblocking(False)
        # One small write per request: waiting for a second one to share its packet would be measured.
        sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        trouble = sock.connect_ex(address)
        if trouble == errno.EINPROGRESS:
            gsocket.wait_write(sock.fileno())
            trouble = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if trouble:
            raise OSError(trouble, os.strerror(trouble))
    except BaseException:
        sock.close()
        raise
    return sock
