"""The `sim` engine: no model, but a timing that is known beforehand.

Each request has its own absolute schedule: a token is due one gap after the one before was due, not after it
was written, so lateness never adds up. One heap and one alarm serve every stream. It lives in the HTTP
process on purpose: a pipe between would add an unknown delay to the truth. It knows nothing of HTTP; what was
due and what it really did is in its ledger.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from loadlab.core.clock import now_ns
from loadlab.server import words
from loadlab.server.alarm import Alarm, alarm
from loadlab.server.job import EngineError, Finish, Job, Load, Sink, Turn
from loadlab.server.ledger import Entry, Ledger
from loadlab.server.timing import Timing


def chance_of(job: Job, seed: int, times: Counter[int]) -> random.Random:
    """Luck drawn from what was asked and how often before, so that wall-clock order does not matter."""
    content = words.identity(job)
    times[content] += 1
    return random.Random(f"{seed}:{content}:{times[content]}")


@dataclass(slots=True, eq=False)
class _Stream:
    job: Job
    sink: Sink
    ttft_ns: int
    gap_ns: Callable[[], int]
    length: int
    finish: Finish
    entry: Entry
    due_ns: int = 0
    sent: int = 0
    gone: bool = False


class SimEngine:
    """An engine of known timing; see `job.Engine`. Same seed and same requests give the same schedule."""

    name = "sim"
    device = "none"

    def __init__(
        self,
        model: str = "sim",
        timing: Timing | None = None,
        *,
        seed: int = 0,
        fail_rate: float = 0.0,
        max_num_seqs: int = 4096,
        context: int = 131_072,
    ) -> None:
        self.model, self.context = model, context
        self.ledger = Ledger()
        self._timing, self._seed, self._fail_rate = timing or Timing(), seed, fail_rate
        self.places = max_num_seqs
        self._seen: Counter[int] = Counter()
        self._order = count()
        self._streams: dict[str, _Stream] = {}
        self._waiting: deque[_Stream] = deque()
        self._due: list[tuple[int, int, _Stream]] = []
        self._alarm: Alarm | None = None

    async def start(self) -> None:
        self._alarm = alarm(self._tick)

    async def stop(self) -> None:
        for stream in list(self._streams.values()):
            stream.gone = True
            stream.sink.fail("the server is shutting down")
        self._streams.clear()
        self._waiting.clear()
        if self._alarm:
            self._alarm.close()

    def encode(self, text: str) -> list[int]:
        return words.encode(text)

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return words.encode_chat(turns)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [words.piece(token) for token in tokens]

    def submit(self, job: Job, sink: Sink) -> None:
        words.refuse_probabilities(job)
        chance = chance_of(job, self._seed, self._seen)
        if chance.random() < self._fail_rate:
            raise EngineError(f"simulated failure (--fail-rate {self._fail_rate:g})")
        length, finish = words.length_of(job, self.context)
        entry = self.ledger.open(job.id, job.arrival_ns)
        ttft_ns, gap_ns = self._timing.ttft.draws(chance)(), self._timing.itl.draws(chance)
        stream = _Stream(job, sink, ttft_ns, gap_ns, length, finish, entry)
        self._streams[job.id] = stream
        if self._running() <= self.places:
            self._admit(stream, job.arrival_ns)
        else:
            self._waiting.append(stream)

    def abort(self, job_id: str) -> None:
        if stream := self._streams.get(job_id):
            stream.gone = True
            self._end(stream)

    def load(self) -> Load:
        return Load(self._running(), len(self._waiting), min(1.0, self._running() / self.places))

    def trouble(self) -> str | None:
        return None

    def settings(self) -> dict[str, Any]:
        return {}

    async def configure(self, changes: Mapping[str, Any]) -> None:
        raise EngineError("this engine has nothing to switch.", 400)

    def report(self, query: Mapping[str, str]) -> bytes | None:
        """The ledger; `since_ns`, `until_ns` and `rows=0` narrow it, `gaps=1` widens it."""
        return self.ledger.answer(query)

    def _running(self) -> int:
        return len(self._streams) - len(self._waiting)

    def _admit(self, stream: _Stream, at_ns: int) -> None:
        stream.sink.admitted(at_ns)
        stream.due_ns = at_ns + stream.ttft_ns
        first = not self._due or stream.due_ns < self._due[0][0]
        heapq.heappush(self._due, (stream.due_ns, next(self._order), stream))
        if first:
            self._wake()

    def _tick(self) -> None:
        """Writes everything due by now, and no more: sockets must get their turn even when we are late."""
        now, due, crowd_ns = now_ns(), self._due, self._crowd_ns()
        while due and due[0][0] <= now:
            stream = due[0][2]
            if not stream.gone and self._emit(stream):
                stream.due_ns += stream.gap_ns() + crowd_ns
                heapq.heapreplace(due, (stream.due_ns, next(self._order), stream))
            else:
                heapq.heappop(due)
        self._wake()

    def _crowd_ns(self) -> int:
        """What the other running streams add to a gap."""
        return self._timing.per_stream_ns * (self._running() - 1)

    def _wake(self) -> None:
        if self._due and self._alarm:
            self._alarm.set(self._due[0][0])

    def _emit(self, stream: _Stream) -> bool:
        """Writes the stream's next token; False when it was the last."""
        index = stream.sent
        stream.sent = index + 1
        finish = stream.finish if stream.sent == stream.length else None
        stream.entry.written(stream.due_ns, stream.sink.push(words.answer(index, 1), 1, finish))
        if finish:
            self._end(stream)
        return finish is None

    def _end(self, stream: _Stream) -> None:
        del self._streams[stream.job.id]
        if not stream.sent and stream in self._waiting:
            self._waiting.remove(stream)
        while self._waiting and self._running() < self.places:
            self._admit(self._waiting.popleft(), now_ns())
