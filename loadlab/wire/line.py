"""The stopwatch: one open connection, its watcher on the hub, and the exchange in progress on it.

It receives, stamps, and hands the bytes to whoever reads the protocol (`Connection`, `WebSocket`); it knows
the limits of time, and how an exchange ends, but no protocol.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Timeouts
from loadlab.core.units import NS_PER_S
from loadlab.wire.transport import Transport

# What one answer may take in memory, so that a server gone wild cannot take the load host with it.
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_HEAD_BYTES = 256 * 1024
_READABLE, _WRITABLE = 1, 2
_PATROL_S = 0.1


class Line:
    """Runs one exchange at a time; `reusable` says whether another may follow.

    A subclass gives `speaks`, the protocol's name, and sets `_feed`, which is handed every read. While
    `_heading` is true, reads count against the limit of a head and not yet as a body.
    """

    __slots__ = (
        "_done", "_feed", "_head_bytes", "_heading", "_now", "_pull", "_transport", "_watcher",
        "_writer", "exchange", "reusable",
    )  # fmt: skip

    speaks = ""
    exchange: Exchange
    _feed: Callable[[bytes], None]
    _done: AsyncResult
    _writer: Any

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._pull = transport.pull
        self._watcher = gevent.get_hub().loop.io(transport.fileno(), _READABLE)
        self._writer = None
        self.reusable = False

    def quiet(self) -> bool:
        """Whether the kept connection is open and says nothing; one that speaks unasked is of no use."""
        try:
            return self._pull() is None
        except OSError:
            return False

    def close(self) -> None:
        """Closes the socket and frees the watchers."""
        self.reusable = False
        self._stop()
        self._watcher.close()
        if self._writer:
            self._writer.close()
        self._transport.close()

    def _run(self, payload: bytes, exchange: Exchange, timeouts: Timeouts, left_s: float) -> None:
        """Sends `payload` and fills `exchange` until the answer ends, breaks or runs out of time.

        `left_s` is what remains of the total. An exchange always has `done_ns` afterwards, and an
        `error_kind` unless it is complete.
        """
        self.exchange = exchange
        self.reusable = False
        self._heading = True
        self._head_bytes = 0
        self._done = AsyncResult()
        patrol = None
        limit = gevent.Timeout(left_s)
        limit.start()
        try:
            self._now = now_ns()
            # Before sending: an early answer ("413", say) may come while there is still much to send.
            self._watcher.start(self._readable)
            self._send(payload)
            if timeouts.first_byte_s or timeouts.stall_s:
                patrol = gevent.spawn(self._patrol, exchange, timeouts)
            self._done.get()
        except BaseException as ended:
            if ended is not limit:
                self._break("cancelled", "stopped before the response was complete")
                raise
            self._break("timeout", f"no complete response within {timeouts.total_s:g} s")
        finally:
            limit.close()
            self._stop()
            if patrol:
                patrol.kill(block=False)
            del self.exchange  # an idle connection must not keep what it last carried

    def _patrol(self, exchange: Exchange, timeouts: Timeouts) -> None:
        """Watches for silence: one timer, moved on by what has been read, costs nothing per read."""
        while exchange.done_ns is None:
            waiting = exchange.first_byte_ns is None
            limit_s = timeouts.first_byte_s if waiting else timeouts.stall_s
            silent_s = (now_ns() - self._now) / NS_PER_S
            if limit_s is None:
                gevent.sleep(_PATROL_S)
            elif silent_s < limit_s:
                gevent.sleep(limit_s - silent_s)
            elif waiting:
                self._break("first_byte_timeout", f"no first byte within {limit_s:g} s")
            else:
                self._break("stall_timeout", f"no further byte within {limit_s:g} s")

    def _send(self, data: bytes) -> None:
        try:
            self._sent(self._transport.push(data))
        except (BrokenPipeError, ConnectionResetError):
            return  # what the peer said before it stopped listening is still to be read
        except OSError as error:
            self._fail(error)

    def _sent(self, at_ns: int | None) -> None:
        """Notes when all was handed over; until then, the hub goes on with it."""
        if at_ns is None:
            if self._writer is None:
                self._writer = gevent.get_hub().loop.io(self._transport.fileno(), _WRITABLE)
            self._writer.start(self._writable)
        elif self.exchange.sent_ns is None:
            self.exchange.sent_ns = self._now = at_ns

    def _writable(self) -> None:
        """Runs on the hub while a large request is going out."""
        try:
            at_ns = self._transport.flush()
        except OSError:
            self._writer.stop()  # as in _send: reading tells why
            return
        self._now = now_ns()
        if at_ns is not None:
            self._writer.stop()
            self._sent(at_ns)

    def _readable(self) -> None:
        """Runs on the hub for every read: receive, stamp, feed. Nothing here may raise or wait."""
        try:
            data = self._pull()
            self._now = now_ns()
            if data:
                if self._heading:
                    self._count_head(data)
                self._feed(data)
            elif data is not None:
                self._ended()
        except Exception as error:
            self._fail(error)

    def _count_head(self, data: bytes) -> None:
        if self.exchange.first_byte_ns is None:
            self.exchange.first_byte_ns = self._now
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError(f"the head of the answer is larger than {MAX_HEAD_BYTES} bytes")
        self._head_bytes += len(data)

    def _keep(self, body: bytes) -> None:
        """Keeps one read of the body, stamped, within the limit of memory."""
        if self.exchange.reads.add(self._now, body) > MAX_KEPT_BYTES:
            self._break("protocol", f"the answer takes more than {MAX_KEPT_BYTES >> 20} MiB")

    def _ended(self) -> None:
        """The peer closed."""
        if self.exchange.first_byte_ns is None:
            self._break("reset", "the server closed the connection without answering")
        else:
            self._break("truncated", "the connection closed before the response was complete")

    def _fail(self, error: Exception) -> None:
        match error:
            case ssl.SSLError():
                self._break("tls", f"TLS broke during the exchange: {error}")
            case OSError():
                self._break("reset", error.strerror or str(error))
            case _:
                self._break("protocol", f"not {self.speaks}: {error}")

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
        self._stop()
        self._done.set(None)

    def _stop(self) -> None:
        self._watcher.stop()
        if self._writer:
            self._writer.stop()
