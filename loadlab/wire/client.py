"""Sends calls: a keep-alive pool per origin, and one retry on a connection the server had already closed."""

from __future__ import annotations

import ssl
from collections import defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange
from loadlab.dialects import Call
from loadlab.wire.connection import Connection
from loadlab.wire.transport import ConnectError, open_transport

CONNECT_TIMEOUT_S = 10.0


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: str
    host: str
    port: int


class Client:
    """An HTTP/1.1 client for one load worker. `headers` go with every call (credentials, user agent)."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._context: ssl.SSLContext | None = None

    def send(self, call: Call, exchange: Exchange, timeout_s: float) -> Exchange:
        """Carries out `call` and returns `exchange`, filled. Failures are in it, never raised."""
        origin, payload = self._frame(call)
        deadline = now_ns() + round(timeout_s * 1e9)
        try:
            self._attempt(origin, payload, exchange, deadline)
            if _stale(exchange):
                self._close_idle(origin)
                _reset(exchange)
                self._attempt(origin, payload, exchange, deadline)
        except ConnectError as error:
            exchange.error_kind, exchange.error_detail = error.kind, error.detail
            exchange.done_ns = now_ns()
        return exchange

    def close(self) -> None:
        """Closes every idle connection."""
        for origin in list(self._idle):
            self._close_idle(origin)

    def _attempt(self, origin: Origin, payload: bytes, exchange: Exchange, deadline: int) -> None:
        connection = self._take(origin, exchange, deadline)
        try:
            connection.run(payload, exchange, max((deadline - now_ns()) / 1e9, 0.001))
        finally:
            if connection.reusable:
                self._idle[origin].append(connection)
            else:
                connection.close()

    def _take(self, origin: Origin, exchange: Exchange, deadline: int) -> Connection:
        if idle := self._idle[origin]:
            exchange.reused = True
            return idle.pop()
        wait_s = min(CONNECT_TIMEOUT_S, max((deadline - now_ns()) / 1e9, 0.001))
        transport, exchange.connect_ns, exchange.tls_ns = open_transport(
            origin.host, origin.port, self._tls() if origin.scheme == "https" else None, wait_s
        )
        return Connection(transport)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context

    def _close_idle(self, origin: Origin) -> None:
        for connection in self._idle.pop(origin, ()):
            connection.close()

    def _frame(self, call: Call) -> tuple[Origin, bytes]:
        """The origin and the bytes of an HTTP/1.1 request."""
        parts = urlsplit(call.url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "Content-Length": str(len(call.body)),
            **call.headers,
            **self._headers,
        }
        lines = [f"{call.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        return Origin(parts.scheme, parts.hostname or "", port), head + call.body


def _stale(exchange: Exchange) -> bool:
    """Whether a kept connection turned out closed before a single byte came back."""
    return (
        exchange.reused
        and exchange.retries == 0
        and exchange.error_kind == "reset"
        and exchange.first_byte_ns is None
    )


def _reset(exchange: Exchange) -> None:
    exchange.retries += 1
    exchange.reused = False
    exchange.sent_ns = exchange.done_ns = None
    exchange.error_kind = exchange.error_detail = None
