"""Sends calls: a keep-alive pool per origin, and one retry on a connection the server had already closed."""

from __future__ import annotations

import ssl
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import urlsplit

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.units import NS_PER_S
from loadlab.dialects import Call
from loadlab.wire.connection import Connection
from loadlab.wire.route import Origin, Proxy, host_field, proxy_for, target_of
from loadlab.wire.transport import ConnectError, Transport, open_transport
from loadlab.wire.trust import Trust


class Client:
    """HTTP/1.1 and WebSocket for one load worker. `headers` go with every call (credentials, user agent)."""

    def __init__(self, headers: Mapping[str, str] | None = None, tls: Trust | None = None) -> None:
        self._headers = dict(headers or {})
        self._trust = tls or Trust()
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)
        self._context: ssl.SSLContext | None = None
        self._proxies: dict[Origin, Proxy | None] = {}

    def send(self, call: Call, exchange: Exchange, timeouts: Timeouts) -> Exchange:
        """Carries out `call` and returns `exchange`, filled. Failures are in it, never raised."""
        origin, payload = self._frame(call)
        deadline = _deadline(timeouts)
        try:
            self._attempt(origin, payload, exchange, timeouts, deadline)
            if _stale(exchange):
                self._close_idle(origin)
                _reset(exchange)
                self._attempt(origin, payload, exchange, timeouts, deadline)
        except ConnectError as error:
            _unconnected(exchange, error)
        return exchange

    def talk(
        self,
        call: Call,
        messages: Iterable[str | bytes],
        exchange: Exchange,
        timeouts: Timeouts,
        done: Callable[[bytes], bool],
    ) -> Exchange:
        """Opens a WebSocket at `call` (ws:// or wss://), sends `messages`, reads until `done` says so.

        `done` is asked of every message that comes in, while other streams wait: it looks, it does not parse.
        A server that ends the conversation normally ends the exchange too. A connection serves one talk; the
        time that opening and upgrading it took is `connect_ns`. Failures are in `exchange`, never raised.
        """
        from loadlab.wire.websocket import Conversation  # most runs have no use for what it imports

        deadline = _deadline(timeouts)
        patience_s = min(timeouts.connect_s, timeouts.total_s)
        conversation = Conversation(call.url, {**call.headers, **self._headers}, messages, done)
        try:
            transport = self._open(Origin.of(urlsplit(call.url)), exchange, patience_s, tunnel=True)
            try:
                conversation.hold(transport, exchange, timeouts, _left_s(deadline))
            finally:
                transport.close()
        except ConnectError as error:
            _unconnected(exchange, error)
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
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.quiet():
                exchange.reused = True
                return connection
            connection.close()
        return Connection(self._open(origin, exchange, patience_s, tunnel=origin.secure))

    def _open(self, origin: Origin, exchange: Exchange, patience_s: float, *, tunnel: bool) -> Transport:
        context = self._tls() if origin.secure else None
        transport, exchange.connect_ns, exchange.tls_ns = open_transport(
            origin, self._proxy(origin), context, patience_s, tunnel=tunnel
        )
        return transport

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
        origin, target = Origin.of(parts), target_of(parts)
        # A coded answer would be measured with its decoding, or not be read at all: none is asked for.
        headers = {
            "Host": host_field(parts),
            "Content-Length": str(len(call.body)),
            "Accept-Encoding": "identity",
        }
        proxy = self._proxy(origin)
        if proxy and not origin.secure:
            target = f"http://{origin.authority}{target}"
            headers.update(proxy.headers)
        headers.update(call.headers)
        headers.update(self._headers)
        lines = [f"{call.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return origin, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + call.body


def _deadline(timeouts: Timeouts) -> int:
    return now_ns() + round(timeouts.total_s * NS_PER_S)


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


def _unconnected(exchange: Exchange, error: ConnectError) -> None:
    exchange.error_kind, exchange.error_detail = error.kind, error.detail
    exchange.done_ns = now_ns()
