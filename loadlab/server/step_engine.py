"""The `sim` engine of simulated hardware: a `Simulation` on the wall clock.

An alarm is set for the end of the step that runs; then its tokens are written, and the next step has begun at
the instant at which the one before was due to end. So the schedule is the one that `virtual` computes for the
same arrivals, and being late never adds up. It lives in the HTTP process: a pipe would add unknown delays. It
knows nothing of HTTP; what was due and what it really did is in its ledger.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loadlab.core.clock import now_ns
from loadlab.server import plan, words
from loadlab.server.alarm import Alarm, alarm
from loadlab.server.faults import RateLimit
from loadlab.server.job import EngineError, Finish, Job, Load, Sink, Turn
from loadlab.server.ledger import Entry, Ledger
from loadlab.server.simulation import Deployment, Done, Simulation

_RETRY_AFTER_S = 1


@dataclass(slots=True, eq=False)
class _Stream:
    sink: Sink
    entry: Entry
    finish: Finish
    cut_after: int | None
    sent: int = 0


class StepEngine:
    """An engine of simulated hardware; see `job.Engine`. It never says that it is a real model."""

    name = "sim"

    def __init__(self, model: str, deployment: Deployment, *, seed: int = 0) -> None:
        self.model, self.device = model, f"simulated {deployment.label}"
        self.ledger = Ledger()
        self._deployment, self._seed = deployment, seed
        self._simulation = Simulation(deployment, seed)
        self.context = self._simulation.context
        self._limit = RateLimit(deployment.faults.limit_per_s)
        self._seen: Counter[int] = Counter()
        self._streams: dict[str, _Stream] = {}
        self._alarm: Alarm | None = None

    @property
    def places(self) -> int:
        """See `job.Engine`."""
        return self._simulation.places

    async def start(self) -> None:
        self._alarm = alarm(self._tick)

    async def stop(self) -> None:
        for stream in list(self._streams.values()):
            stream.sink.fail("the server is shutting down")
        self._streams.clear()
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
        request = self._identity(job)
        self._refuse(request, job.arrival_ns)
        length, finish = words.length_of(job, self.context)
        cut_after = self._deployment.faults.cut_after(self._seed, request, length)
        entry = self.ledger.open(job.id, job.arrival_ns)
        self._streams[job.id] = _Stream(sink, entry, finish, cut_after)
        sampling = replace(job.sampling, ignore_eos=True, seed=request)
        sequence = plan.Sequence(job.id, list(job.prompt), length, sampling, priority=job.priority)
        entry.counted_ns = self._simulation.submit(sequence, job.arrival_ns)
        self._wake()

    def abort(self, job_id: str) -> None:
        if self._streams.pop(job_id, None):
            self._simulation.abort(job_id)

    def load(self) -> Load:
        return self._simulation.load()

    def trouble(self) -> str | None:
        return None

    def settings(self) -> dict[str, Any]:
        return self._simulation.settings()

    async def configure(self, changes: Mapping[str, Any]) -> None:
        self._simulation.configure(changes)

    def report(self, query: Mapping[str, str]) -> bytes | None:
        return self.ledger.answer(query)

    def _identity(self, job: Job) -> int:
        """What was asked and how often before, so that luck does not depend on wall-clock order."""
        content = words.identity(job)
        self._seen[content] += 1
        return hash((content, self._seen[content]))

    def _refuse(self, request: int, arrival_ns: int) -> None:
        if wait_s := self._limit.wait_s(arrival_ns):
            words_of_it = f"simulated rate limit: ask again in {wait_s:.1f} s."
            raise EngineError(words_of_it, 429, retry_after_s=math.ceil(wait_s))
        if status := self._deployment.faults.refused(self._seed, request):
            retry_after_s = _RETRY_AFTER_S if status == 429 else None
            words_of_it = f"simulated failure with status {status}, as ordered by --fault."
            raise EngineError(words_of_it, status, retry_after_s=retry_after_s)

    def _wake(self) -> None:
        if self._alarm and self._simulation.end_ns is not None:
            self._alarm.set(self._simulation.end_ns)

    def _tick(self) -> None:
        """One step, and no more: sockets must get their turn even when we are late."""
        if self._simulation.end_ns is None or self._simulation.end_ns > now_ns():
            return self._wake()
        done = self._simulation.finish()
        for sequence, cached in done.admitted:
            if stream := self._streams.get(sequence.id):
                stream.sink.admitted(done.start_ns)
                stream.sink.cached(cached)
        self._write(done)
        return self._wake()

    def _write(self, done: Done) -> None:
        streams, due_ns = self._streams, done.end_ns
        for output in done.outputs:
            if stream := streams.get(output.sequence.id):
                finish = stream.finish if output.finish else None
                tokens, start = len(output.choices), stream.sent
                stream.sent = start + tokens
                if stream.cut_after is not None and stream.sent >= stream.cut_after:
                    self.abort(output.sequence.id)
                    stream.sink.cut()
                    continue
                if finish:
                    del streams[output.sequence.id]
                at_ns = stream.sink.push(words.answer(start, tokens), tokens, finish)
                stream.entry.written(due_ns, at_ns, tokens)
