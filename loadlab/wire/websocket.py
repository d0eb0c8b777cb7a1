"""A WebSocket conversation, stamped as HTTP is: same transport, watcher and limits, each message one read.

In scope: text and binary messages, fragments joined, pings answered, close codes. Out of scope: compression
(never offered) and what a message means (`done`, given by the caller, says when a conversation is over).
Source: RFC 6455.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import gevent
from gevent import socket as gsocket
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import RemoteProtocolError

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.units import NS_PER_S
from loadlab.wire.line import MAX_HEAD_BYTES, MAX_KEPT_BYTES, Line
from loadlab.wire.route import host_field, target_of
from loadlab.wire.transport import ConnectError, Transport, push_all

_SUBPROTOCOL = "Sec-WebSocket-Protocol"
_GOODBYE = (1000, 1005)  # "normal", and a close frame without a code


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is to be said at `url` (text as str), and who knows when it has been answered."""

    url: str
    headers: Mapping[str, str]
    messages: Iterable[str | bytes]
    done: Callable[[bytes], bool]

    def hold(self, transport: Transport, exchange: Exchange, timeouts: Timeouts, left_s: float) -> None:
        """Upgrades and talks within `left_s`, filling `exchange`. Raises ConnectError before any talk."""
        asked = now_ns()
        patience_s = min(timeouts.connect_s, left_s)
        answer = upgrade(transport, self._request(), patience_s)
        taken = now_ns() - asked
        exchange.connect_ns += taken
        if isinstance(answer, Refusal):
            answer.fill(exchange)
            return
        exchange.status = 101
        line = WebSocket(transport, answer, self.done)
        try:
            line.run(self.messages, exchange, timeouts, max(left_s - taken / NS_PER_S, 0.001))
        finally:
            line.close()

    def _request(self) -> Request:
        parts = urlsplit(self.url)
        headers = dict(self.headers)
        offered = headers.pop(_SUBPROTOCOL, "")
        return Request(
            host=host_field(parts),
            target=target_of(parts),
            subprotocols=[name.strip() for name in offered.split(",") if name.strip()],
            extra_headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        )


@dataclass(slots=True)
class Refusal:
    """What a server answered instead of switching to WebSocket."""

    status: int
    body: bytes = b""

    def fill(self, exchange: Exchange) -> None:
        """Makes it the answer, judged by its status like any other; a success is no consent either."""
        exchange.done_ns = exchange.first_byte_ns = now_ns()
        exchange.status = self.status
        exchange.reads.add(exchange.done_ns, self.body)
        if self.status < 300:
            words = f"the server answered {self.status} instead of switching to WebSocket"
            exchange.error_kind, exchange.error_detail = "protocol", words


class WebSocket(Line):
    """One conversation on one connection; `done` is asked of every message, on the hub: it must be quick."""

    __slots__ = ("_done_with", "_parts", "_parts_bytes", "_protocol")

    speaks = "WebSocket"

    def __init__(self, transport: Transport, protocol: WSConnection, done: Callable[[bytes], bool]) -> None:
        """`protocol` has the server's consent, as `upgrade` gives it."""
        super().__init__(transport)
        self._protocol = protocol
        self._done_with = done
        self._feed = self._receive
        self._parts: list[bytes] = []
        self._parts_bytes = 0

    def run(
        self, messages: Iterable[str | bytes], exchange: Exchange, timeouts: Timeouts, left_s: float
    ) -> None:
        """Sends `messages` (text as str) and fills `exchange` with one read per message that comes back."""
        payload = b"".join(self._protocol.send(_framed(message)) for message in messages)
        # What came in one packet with the server's consent is read as soon as the messages are out.
        gevent.get_hub().loop.run_callback(self._receive_early)
        self._run(payload, exchange, timeouts, left_s)

    def close(self) -> None:
        """See Line. Takes leave first where the peer has not, without waiting for its answer."""
        if self._protocol.state is ConnectionState.OPEN:
            self._push_quietly(self._protocol.send(CloseConnection(code=1000)))
        super().close()
        del self._feed  # it holds this object, and no collector runs during a level

    def _receive_early(self) -> None:
        try:
            self._take_events()
        except Exception as error:
            self._fail(error)

    def _receive(self, data: bytes) -> None:
        self._heading = False
        self._protocol.receive_data(data)
        self._take_events()

    def _take_events(self) -> None:
        for event in self._protocol.events():
            if self.exchange.done_ns is not None:
                return
            match event:
                case TextMessage() | BytesMessage():
                    self._collect(event)
                case Ping():
                    self._send(self._protocol.send(event.response()))
                case CloseConnection():
                    self._closed(event)

    def _collect(self, event: TextMessage | BytesMessage) -> None:
        """Joins fragments; a message arrived when its last byte did."""
        if self.exchange.first_byte_ns is None:
            self.exchange.first_byte_ns = self._now
        data = event.data
        self._parts.append(data.encode() if isinstance(data, str) else bytes(data))
        self._parts_bytes += len(self._parts[-1])
        if self._parts_bytes > MAX_KEPT_BYTES:
            self._break("protocol", f"a message takes more than {MAX_KEPT_BYTES >> 20} MiB")
        elif event.message_finished:
            message = b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            self._keep(message)
            if self._done_with(message):
                self._finish()

    def _closed(self, event: CloseConnection) -> None:
        words = event.reason or "the server gave no reason"
        if self._protocol.state is not ConnectionState.REMOTE_CLOSING:
            self._break("protocol", f"not {self.speaks}: {words}")
            return
        self._push_quietly(self._protocol.send(event.response()))
        if event.code in _GOODBYE:
            self._finish()
        else:
            self._break(f"ws_close_{int(event.code)}", words)

    def _push_quietly(self, data: bytes) -> None:
        """For the last words of a conversation, which nobody may be there to hear."""
        try:
            self._transport.push(data)
        except OSError:
            return


def upgrade(transport: Transport, request: Request, timeout_s: float) -> WSConnection | Refusal:
    """Asks the server to speak WebSocket; waits in its own greenlet. Raises ConnectError."""
    protocol = WSConnection(ConnectionType.CLIENT)
    limit = gevent.Timeout(timeout_s)
    try:
        with limit:
            push_all(transport, protocol.send(request))
            return _consent(transport, protocol)
    except gevent.Timeout as expired:
        if expired is not limit:
            raise
        raise ConnectError("connect_timeout", f"no consent to WebSocket within {timeout_s:g} s") from None
    except RemoteProtocolError as error:
        raise ConnectError("protocol", f"the server does not speak WebSocket: {error}") from error
    except OSError as error:
        raise ConnectError("reset", f"while asking for WebSocket: {error.strerror or error}") from error


def _consent(transport: Transport, protocol: WSConnection) -> WSConnection | Refusal:
    """The server's yes or no."""
    refusal: Refusal | None = None
    received = 0
    while received <= MAX_HEAD_BYTES:
        gsocket.wait_read(transport.fileno())
        if (data := transport.pull()) is None:
            continue
        if not data:
            break
        received += len(data)
        protocol.receive_data(data)
        while event := _next(protocol):
            match event:
                case AcceptConnection():
                    return protocol
                case RejectConnection():
                    refusal = Refusal(event.status_code)
                case RejectData() if refusal:
                    refusal.body += event.data
                    if event.body_finished:
                        return refusal
    if refusal:
        return refusal
    raise ConnectError("reset", "the server ended the connection instead of switching to WebSocket")


def _next(protocol: WSConnection) -> Event | None:
    """One event: those behind the server's consent belong to the conversation."""
    return next(iter(protocol.events()), None)


def _framed(message: str | bytes) -> TextMessage | BytesMessage:
    return TextMessage(message) if isinstance(message, str) else BytesMessage(message)
