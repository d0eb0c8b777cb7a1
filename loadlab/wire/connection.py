"""One HTTP/1.1 connection: its watcher, its parser and the exchange in progress."""

from __future__ import annotations

import gevent
import httptools
from gevent.event import AsyncResult

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.units import NS_PER_S
from loadlab.wire.transport import Transport

MAX_BODY_BYTES = 64 * 1024 * 1024
_READABLE = 1
_PATROL_S = 0.1


class Connection:
    """Runs one exchange at a time; `reusable` says whether another may follow."""

    __slots__ = (
        "_body_bytes", "_done", "_framed", "_headers_done", "_now", "_parser", "_pull", "_transport",
        "_watcher", "exchange", "reusable",
    )  # fmt: skip

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pull = transport.pull
        self._watcher = gevent.get_hub().loop.io(transport.fileno(), _READABLE)
        self.reusable = False

    def run(self, payload: bytes, exchange: Exchange, timeouts: Timeouts, left_s: float) -> None:
        """Sends `payload` and fills `exchange` until the response ends, breaks or runs out of time.

        `left_s` is what remains of the total. An exchange always has `done_ns` afterwards, and an
        `error_kind` unless it is complete.
        """
        self.exchange = exchange
        self.reusable = self._framed = self._headers_done = False
        self._body_bytes = 0
        self._parser = httptools.HttpResponseParser(self)
        self._done = AsyncResult()
        patrol = None
        try:
            with gevent.Timeout(left_s):
                exchange.sent_ns = self._now = self._transport.push(payload)
                self._watcher.start(self._readable)
                if timeouts.first_byte_s or timeouts.stall_s:
                    patrol = gevent.spawn(self._patrol, timeouts)
                self._done.get()
        except gevent.Timeout:
            self._break("timeout", f"no complete response within {timeouts.total_s:g} s")
        except OSError as error:
            self._break("reset", f"sending failed: {error.strerror or error}")
        except gevent.GreenletExit:
            self._break("cancelled", "stopped before the response was complete")
            raise
        finally:
            self._watcher.stop()
            # The parser holds this object and this object the parser: part them, the collector is off.
            self._parser = None
            if patrol:
                patrol.kill(block=False)

    def _patrol(self, timeouts: Timeouts) -> None:
        """Watches for silence: one timer, moved on by what has been read, costs nothing per read."""
        while True:
            waiting = self.exchange.first_byte_ns is None
            limit_s = timeouts.first_byte_s if waiting else timeouts.stall_s
            kind, what = (
                ("first_byte_timeout", "first byte") if waiting else ("stall_timeout", "further byte")
            )
            silent_s = (now_ns() - self._now) / NS_PER_S
            if limit_s is not None and silent_s >= limit_s:
                return self._break(kind, f"no {what} within {limit_s:g} s")
            gevent.sleep(_PATROL_S if limit_s is None else limit_s - silent_s)

    def close(self) -> None:
        """Closes the socket and frees the watcher."""
        self.reusable = False
        self._watcher.stop()
        self._watcher.close()
        self._transport.close()

    def _readable(self) -> None:
        """Runs on the hub for every read: receive, stamp, feed. Nothing here may raise or wait."""
        try:
            data = self._pull()
            self._now = now_ns()
            if data:
                if self.exchange.first_byte_ns is None:
                    self.exchange.first_byte_ns = self._now
                self._parser.feed_data(data)
            elif data is not None:
                self._ended()
        except httptools.HttpParserError as error:
            self._break("protocol", f"not HTTP/1.1: {error}")
        except OSError as error:
            self._break("reset", error.strerror or str(error))

    def _ended(self) -> None:
        """The peer closed. Without any framing that is how a body ends; otherwise something is missing."""
        if self._headers_done and not self._framed:
            self._finish()
        elif self.exchange.first_byte_ns is None:
            self._break("reset", "the server closed the connection without answering")
        else:
            self._break("truncated", "the connection closed before the response was complete")

    def _finish(self) -> None:
        if self.exchange.done_ns is None:
            self.exchange.done_ns = self._now
            self._wake()

    def _break(self, kind: str, detail: str) -> None:
        if self.exchange.done_ns is None:
            self.exchange.done_ns = now_ns()
            self.exchange.error_kind, self.exchange.error_detail = kind, detail
            self._wake()

    def _wake(self) -> None:
        self._watcher.stop()
        self._done.set(None)

    # What the parser calls, inside feed_data.

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-type":
            self.exchange.content_type = value.decode("latin-1")
        elif name in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self.exchange.status = self._parser.get_status_code()
        self._headers_done = self.exchange.status >= 200

    def on_body(self, body: bytes) -> None:
        self.exchange.reads.append((self._now, body))
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY_BYTES:
            self._break("protocol", f"the response body is larger than {MAX_BODY_BYTES} bytes")

    def on_message_complete(self) -> None:
        if self._headers_done:  # a 1xx interim response is not the answer
            self.reusable = self._parser.should_keep_alive()
            self._finish()
