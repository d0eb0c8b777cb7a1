"""Where tokens leave the server: a stream of events or one document, in whatever dialect `Reply` writes.

Stream pieces are framed by hand and written straight to the transport: one call per token, no task switch. A
reader that falls behind is cut off before it costs more than `SLOW_READER_BYTES` of memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from loadlab.server.job import Choice, Finish
from loadlab.server.metrics import Watch
from loadlab.server.spent import Spent

SLOW_READER_BYTES = 1 << 20


class Reply(Protocol):
    """Writes the answer to one request in the words of its dialect."""

    id: str
    silent_tokens: bool  # whether a token without text has an event too

    def stopped(self, text: str) -> None:
        """The stop text that ends the answer; told just before its last piece."""

    def opening(self, spent: Spent) -> bytes:
        """What precedes the first token of a stream."""

    def event(self, text: str, choices: Sequence[Choice], tokens: int) -> bytes:
        """One piece that is not the last; `tokens` is how many there were with it."""

    def last(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The last piece and whatever ends the stream."""

    def failure(self, message: str) -> bytes:
        """An error inside a stream, and its end."""

    def document(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The whole answer, not streamed."""


class StreamAnswer:
    """Server-sent events on an open connection; see `job.Sink`. `ended` resolves at the last event."""

    def __init__(self, reply: Reply, watch: Watch, transport: asyncio.Transport, *, chunked: bool) -> None:
        self._reply, self._watch, self._transport, self._chunked = reply, watch, transport, chunked
        self._silent_tokens = reply.silent_tokens
        self.admitted, self.cached, self.stopped = watch.admitted, watch.cached, reply.stopped
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        watch, reply = self._watch, self._reply
        first = not watch.tokens
        at = watch.token(tokens)
        data = reply.opening(watch.spent()) if first else b""
        if finish:
            data += reply.last(text, choices, finish, watch.spent())
            watch.finish(finish)
        elif text or self._silent_tokens:
            data += reply.event(text, choices, watch.tokens)
        self._write(data)
        if finish:
            self._end()
        return at

    def fail(self, message: str) -> None:
        self._watch.finish("error")
        self._write(self._reply.failure(message))
        self._end()

    def cut(self) -> None:
        self._watch.finish("error")
        self._transport.abort()
        self._end()

    def _write(self, data: bytes) -> None:
        if not data or self._transport.is_closing():
            return
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        if self._transport.get_write_buffer_size() > SLOW_READER_BYTES:
            self._transport.abort()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


class WholeAnswer:
    """Collects the tokens of an answer that is not streamed; see `job.Sink`."""

    def __init__(self, reply: Reply, watch: Watch) -> None:
        self._reply, self._watch = reply, watch
        self._texts: list[str] = []
        self._choices: list[Choice] = []
        self.admitted, self.cached, self.stopped = watch.admitted, watch.cached, reply.stopped
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.failure: str | None = None

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        at = self._watch.token(tokens)
        self._texts.append(text)
        self._choices += choices
        if finish:
            self._watch.finish(finish)
            text = "".join(self._texts)
            self._end(self._reply.document(text, self._choices, finish, self._watch.spent()))
        return at

    def fail(self, message: str) -> None:
        self._watch.finish("error")
        self.failure = message
        self._end(b"")

    def cut(self) -> None:
        self.fail("the engine broke off in the middle of the answer")

    def _end(self, document: bytes) -> None:
        if not self.ended.done():
            self.ended.set_result(document)
