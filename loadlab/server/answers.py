"""Where tokens leave the server: a stream of events or one document.

Stream pieces are framed by hand and written straight to the transport: one call per token, no task switch. A
reader that falls behind is cut off before it costs more than `SLOW_READER_BYTES` of memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from loadlab.server.job import Choice, Finish
from loadlab.server.metrics import Watch
from loadlab.server.openai import DONE, Reply, error_event

SLOW_READER_BYTES = 1 << 20


class StreamAnswer:
    """Server-sent events on an open connection; see `job.Sink`. `ended` resolves at the last event."""

    def __init__(
        self,
        reply: Reply,
        watch: Watch,
        transport: asyncio.Transport,
        *,
        chunked: bool,
        include_usage: bool,
    ) -> None:
        self._reply, self._watch, self._transport = reply, watch, transport
        self._chunked, self._include_usage = chunked, include_usage
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def admitted(self, at_ns: int) -> None:
        self._watch.admitted(at_ns)

    def cached(self, tokens: int) -> None:
        return

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        first = not self._watch.tokens
        at = self._watch.token(tokens)
        data = self._reply.event(text, finish) if text or finish else b""
        if first:
            data = self._reply.opening + data
        if finish:
            data += self._ending()
            self._watch.finish(finish)
        self._write(data)
        if finish:
            self._end()
        return at

    def fail(self, message: str) -> None:
        self._watch.finish("error")
        self._write(error_event(message) + DONE)
        self._end()

    def cut(self) -> None:
        self._watch.finish("error")
        self._transport.abort()
        self._end()

    def _ending(self) -> bytes:
        if not self._include_usage:
            return DONE
        return self._reply.usage_event(self._watch.prompt_tokens, self._watch.tokens) + DONE

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
        self.ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.failure: str | None = None

    def admitted(self, at_ns: int) -> None:
        self._watch.admitted(at_ns)

    def cached(self, tokens: int) -> None:
        return

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        at = self._watch.token(tokens)
        self._texts.append(text)
        if finish:
            self._watch.finish(finish)
            self._end(finish)
        return at

    def fail(self, message: str) -> None:
        self._watch.finish("error")
        self.failure = message
        self._end("error")

    def cut(self) -> None:
        self.fail("the engine broke off in the middle of the answer")

    def _end(self, finish: Finish) -> None:
        if not self.ended.done():
            text = "".join(self._texts)
            self.ended.set_result(
                self._reply.document(text, finish, self._watch.prompt_tokens, self._watch.tokens)
            )
