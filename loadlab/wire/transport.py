"""Opening a connection and moving bytes over it: TCP, or TLS through memory BIOs on the same socket.

`pull` and `push` never block; `open_transport` blocks only its own greenlet. Both channels read alike, so
whoever watches the socket need not know which it has.
"""

from __future__ import annotations

import _socket
import errno
import ssl
from typing import Protocol

import gevent
from gevent import socket as gsocket

from loadlab.core.clock import now_ns
from loadlab.wire.route import Origin, Proxy

_READ = 65536


class Transport(Protocol):
    """A connected, non-blocking byte channel."""

    def fileno(self) -> int:
        """The descriptor to watch."""

    def pull(self) -> bytes | None:
        """What has arrived; b"" at the end of the stream, None when nothing is there yet."""

    def push(self, data: bytes) -> int:
        """Sends all of `data`; gives the time just before its last byte was handed to the kernel, in ns."""

    def close(self) -> None:
        """Closes at once."""


class Tcp:
    """Plain bytes."""

    __slots__ = ("_sock", "recv")

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self.recv = sock.recv

    def fileno(self) -> int:
        """See Transport."""
        return self._sock.fileno()

    def pull(self) -> bytes | None:
        """See Transport."""
        try:
            return self.recv(_READ)
        except BlockingIOError:
            return None

    def push(self, data: bytes) -> int:
        """See Transport."""
        view = memoryview(data)
        while True:
            before = now_ns()
            try:
                view = view[self._sock.send(view) :]
            except BlockingIOError:
                gsocket.wait_write(self.fileno())
                continue
            if not view:
                return before

    def close(self) -> None:
        """See Transport."""
        self._sock.close()


class Tls:
    """TLS over another transport; records are decrypted in memory, so one watcher serves both."""

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
                self._flush()
                gsocket.wait_read(self.fileno())
                self._receive()
            else:
                self._flush()
                return

    def _flush(self) -> int:
        return self._below.push(self._out.read()) if self._out.pending else now_ns()

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
        """See Transport."""
        if not self._receive():
            return None
        parts = []
        try:
            while part := self._object.read(_READ):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return b"".join(parts)

    def push(self, data: bytes) -> int:
        """See Transport."""
        self._object.write(data)
        return self._flush()

    def close(self) -> None:
        """See Transport."""
        self._below.close()


class ConnectError(Exception):
    """A connection that could not be opened; `kind` is an error kind of docs/errors.md."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def open_transport(
    origin: Origin, proxy: Proxy | None, context: ssl.SSLContext | None, timeout_s: float
) -> tuple[Transport, int, int]:
    """(transport, set-up time, TLS part of it), times in ns. Raises ConnectError."""
    started = now_ns()
    try:
        with gevent.Timeout(timeout_s):
            tcp = _reach(origin, proxy, tunnel=context is not None)
            connected = now_ns()
            transport = tcp if context is None else _secure(tcp, context, origin.host)
    except gevent.Timeout:
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
    """Asks for a tunnel. The answer ends at its blank line: nothing of the other end can follow it yet."""
    tcp.push(proxy.tunnel(origin))
    answer = b""
    while b"\r\n\r\n" not in answer:
        gsocket.wait_read(tcp.fileno())
        data = tcp.pull()
        if data == b"":
            break
        answer += data or b""
    status = answer.split(b"\r\n", 1)[0].decode("latin-1")
    if " 200" not in status:
        tcp.close()
        raise ConnectError("proxy", f"the proxy {proxy.host}:{proxy.port} gave no tunnel: '{status[:80]}'")


def _secure(tcp: Tcp, context: ssl.SSLContext, host: str) -> Tls:
    try:
        return Tls(tcp, context, host)
    except (ssl.SSLError, OSError) as error:
        tcp.close()
        raise ConnectError("tls", f"TLS with {host} failed: {error}") from error


def _connect(host: str, port: int) -> _socket.socket:
    try:
        cooperative = gsocket.create_connection((host, port))
    except gsocket.gaierror as error:
        raise ConnectError("dns", f"host name '{host}' cannot be resolved: {error.strerror}") from error
    except OSError as error:
        kind = "connect_refused" if error.errno == errno.ECONNREFUSED else "unreachable"
        raise ConnectError(kind, f"{host}:{port}: {error.strerror or error}") from error
    family = cooperative.family
    sock = _socket.socket(family, _socket.SOCK_STREAM, 0, cooperative.detach())
    sock.setblocking(False)
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    return sock
