"""One request by itself, sent as the load sends its own and heard while it comes. Knows no load, no store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import gevent
from gevent.queue import SimpleQueue

from loadlab.core.clock import now_ns
from loadlab.core.errors import InterruptedRunError
from loadlab.core.nouns import Endpoint, Exchange, Request, Result, Timeouts
from loadlab.core.reads import Reads
from loadlab.dialects import Call, Delta, Dialect
from loadlab.dialects.audio import seconds_of
from loadlab.drive.ask import Answer, PreflightError
from loadlab.drive.driver import Lane
from loadlab.drive.preflight import refusal
from loadlab.recorder.decode import decode
from loadlab.wire.auth import signer_of

Hear = Callable[[Delta], None]


class Spoken:
    """What became of one request: the `result` as a run would have recorded it, and the bytes behind it."""

    def __init__(self, lane: Lane, call: Call, exchange: Exchange) -> None:
        self._lane, self._call, self._exchange = lane, call, exchange
        self.result: Result = decode(exchange, lane.dialect)

    @property
    def body(self) -> bytes:
        """The body of the answer, as far as it came."""
        return self._exchange.reads.head(self._exchange.reads.size)

    def refused(self, models: list[str]) -> PreflightError | None:
        """What to change where it was refused for what it is; None where it was not."""
        status = self.result.status or 0
        if not 300 <= status < 500 or status == 429:
            return None
        answer = Answer(status, self._exchange.content_type, self.body)
        return refusal(self._lane.endpoint, self._call, answer, models)


class _Heard(Reads):
    """Reads that are also handed on."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        super().__init__()
        self.heard: SimpleQueue[bytes | None] = SimpleQueue()

    def add(self, at_ns: int, data: bytes) -> int:
        self.heard.put(data)
        return super().add(at_ns, data)


def speak(endpoint: Endpoint, request: Request, timeouts: Timeouts, hear: Hear | None = None) -> Spoken:
    """Sends `request` on a connection of its own; `hear` gets each piece of output as it comes.

    A failure is in the result. Raises UsageError for a key or a file that cannot be used, InterruptedRunError
    on Ctrl-C.
    """
    lane = Lane.of(endpoint, signer_of(endpoint))
    request = request if endpoint.stream else replace(request, stream=False)
    call = lane.sign(lane.dialect.encode(endpoint, request))
    reads = _Heard()
    audio_s = None if request.audio is None else seconds_of(request.audio)
    exchange = Exchange(0, 0, 0, now_ns(), max_tokens=request.max_tokens, reads=reads, audio_s=audio_s)
    sending = gevent.spawn(lane.carry_out, call, exchange, timeouts)
    sending.link(lambda _: reads.heard.put(None))
    hub = gevent.get_hub()
    stream, hub.exception_stream = hub.exception_stream, None  # it would print a Ctrl-C, and raises it anyway
    try:
        _listen(lane.dialect, exchange, reads.heard, hear)
        sending.get()
    except KeyboardInterrupt:
        raise InterruptedRunError("stopped before the answer was complete.") from None
    finally:
        hub.exception_stream = stream
        sending.kill()
        lane.close()
    return Spoken(lane, call, exchange)


def _listen(
    dialect: Dialect, exchange: Exchange, heard: SimpleQueue[bytes | None], hear: Hear | None
) -> None:
    """Tells of what comes until all has come; bytes that are not of the language end the telling only."""
    decoder = None
    while (data := heard.get()) is not None:
        if hear is None:
            continue
        try:
            decoder = decoder or dialect.decoder(exchange.content_type)
            for delta in decoder.feed(data):
                hear(delta)
        except ValueError:
            hear = None
