"""Sends calls: a keep-alive pool per origin, and one retry on a connection the server had already closed."""

from __future__ import annotations

import ssl
from collections import defaultdict, deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.units import NS_PER_S
from loadlab.dialects import Call
from loadlab.wire.connection import Connection
from loadlab.wire.route import Origin, Proxy, proxy_for
from loadlab.wire.transport import ConnectError, open_transport
from loadlab.wire.trust import Trust


class Client:
    """An HTTP/1.1 client for one load worker. `headers` go with every call (credentials, user agent)."""

    def __init__(self, headers: Mapping[str, str] | None = None, tls: Trust | None = None) -> None:
        self._headers = dict(headers or {})
        self._trust = tls or Trust()
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._context: ssl.SSLContext | None = None
        self._proxies: dict[Origin, Proxy | None] = {}

    def send(self, call: Call, exchange: Exchange, timeouts: Timeouts) -> Exchange:
        """Carries out `call` and returns `exchange`, filled. Failures are in it, never raised."""
        origin, payload = self._frame(call)
        deadline = now_ns() + round(timeouts.total_s * NS_PER_S)
        try:
            self._attempt(origin, payload, exchange, timeouts, deadline)
            if _stale(exchange):
                self._close_idle(origin)
                _reset(exchange)
                self._attempt(origin, payload, exchange, timeouts, deadline)
        except ConnectError as error:
            exchange.error_kind, exchange.error_detail = error.kind, error.detail
            exchange.done_ns = now_ns()
        return exchange

    def close(self) -> None:
        """Closes every idle connection."""
        for origin in list(self._idle):
            self._close_idle(origin)

    def _attempt(
        self, origin: Origin, payload: bytes, exchange: Exchange, timeouts: Timeouts, deadline: int
    ) -> None:
        connection = self._take(origin, exchange, min(timeouts.connect_s, _left_s(deadline)))
        try:
            connection.run(payload, exchange, timeouts, _left_s(deadline))
        finally:
            if connection.reusable:
                self._idle[origin].append(connection)
            else:
                connection.close()

    def _take(self, origin: Origin, exchange: Exchange, patience_s: float) -> Connection:
        if idle := self._idle[origin]:
            exchange.reused = True
            return idle.pop()
        context = self._tls() if origin.scheme == "https" else None
        transport, exchange.connect_ns, exchange.tls_ns = open_transport(
            origin, self._proxy(origin), context, patience_s
        )
        return Connection(transport)

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = self._trust.context()
        return self._context

    def _proxy(self, origin: Origin) -> Proxy | None:
        if origin not in self._proxies:
            self._proxies[origin] = proxy_for(origin)
        return self._proxies[origin]

    def _close_idle(self, origin: Origin) -> None:
        for connection in self._idle.pop(origin, ()):
            connection.close()

    def _frame(self, call: Call) -> tuple[Origin, bytes]:
        """The origin and the bytes of an HTTP/1.1 request."""
        parts = urlsplit(call.url)
        origin = Origin.of(parts)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc.rpartition("@")[2], "Content-Length": str(len(call.body))}
        proxy = self._proxy(origin)
        if proxy and origin.scheme == "http":
            path = f"http://{origin.authority}{path}"
            headers.update(proxy.headers)
        headers.update(call.headers)
        headers.update(self._headers)
        lines = [f"{call.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return origin, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + call.body


def _left_s(deadline_ns: int) -> float:
    """Seconds until then; never quite none, for a timer of none would never ring."""
    return max((deadline_ns - now_ns()) / NS_PER_S, 0.001)


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
