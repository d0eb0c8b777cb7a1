"""One HTTP/1.1 connection: what the parser says of an answer, and whether another request may follow it."""

from __future__ import annotations

import httptools

from loadlab.core.nouns import Exchange, Timeouts
from loadlab.wire.line import Line
from loadlab.wire.transport import Transport


class Connection(Line):
    """Runs one request at a time. Its parser lives as long as the connection does."""

    __slots__ = ("_coding", "_framed", "_parser")

    speaks = "HTTP/1.1"

    def __init__(self, transport: Transport) -> None:
        super().__init__(transport)
        self._parser = httptools.HttpResponseParser(self)
        self._feed = self._parser.feed_data

    def run(self, payload: bytes, exchange: Exchange, timeouts: Timeouts, left_s: float) -> None:
        """Sends `payload`, a whole request, and fills `exchange`; `left_s` is what remains of the total."""
        self._run(payload, exchange, timeouts, left_s)

    def close(self) -> None:
        """See Line. Parts connection and parser, which hold each other: no collector runs during a level."""
        super().close()
        del self._parser, self._feed

    def _ended(self) -> None:
        """Without any framing, the end of the connection is how a body ends."""
        if self._heading or self._framed:
            super()._ended()
        else:
            self._finish()

    # What the parser calls, inside _feed.

    def on_message_begin(self) -> None:
        if self.exchange.done_ns is not None:
            self.reusable = False
            raise ValueError("the server went on after the end of its answer")
        self._framed = False
        self._coding = ""

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._heading:
            return  # a trailer
        match name.lower():
            case b"content-type":
                self.exchange.content_type = value.decode("latin-1")
            case b"content-length":
                self._framed = True
            case b"transfer-encoding":
                self._framed = value.lower().endswith(b"chunked")
            case b"content-encoding":
                self._coding = value.decode("latin-1").strip().lower()
            case b"retry-after":
                self._note(f"retry after {_delay(value.decode('latin-1'))}")
            case b"location":
                self._note(f"it points to {value.decode('latin-1')}")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            self._break("protocol", "the server switched protocols (101) without being asked")
        self._heading = status < 200  # an interim response is not the answer
        if self._heading:
            return
        self.exchange.status = status
        if self._coding not in ("", "identity"):
            self._break("protocol", f"the answer (HTTP {status}) is coded as {self._coding}, unasked")

    on_body = Line._keep  # no call in between: it runs once per token

    def on_message_complete(self) -> None:
        if self._heading or self.exchange.done_ns is not None:
            return
        # A request not yet sent to its end leaves the connection in the middle of it.
        self.reusable = self.exchange.sent_ns is not None and self._parser.should_keep_alive()
        self._finish()

    def _note(self, words: str) -> None:
        """A fact that the row of a refused request should show; a complete one drops it."""
        known = self.exchange.error_detail
        self.exchange.error_detail = f"{known}; {words}" if known else words


def _delay(value: str) -> str:
    """A Retry-After in words: seconds, or a date as it stands."""
    return f"{value} s" if value.isdigit() else value
