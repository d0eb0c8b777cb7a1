"""A simulated server without a clock: told what arrives, it says when each step ends and what came out.

The scheduler and the KV pool are those of the torch engine; only the runner is another. A step begins when
the one before ended, or with the first arrival, and takes in what had arrived by then: so the schedule
follows from the arrivals alone. Who drives it decides what time is: `step_engine` waits, `virtual` does not.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from loadlab.core.errors import UsageError
from loadlab.server.faults import Faults
from loadlab.server.job import Load
from loadlab.server.roofline import Hardware, Roofline
from loadlab.server.schedule import Blocks, Chunk, Output, Scheduler, Sequence
from loadlab.server.sim_runner import SimRunner

_NEVER = -1


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on hardware with its engine's settings.

    `num_blocks` 0 is what the memory holds, `context` 0 what the model has. `acceptance` is the chance that a
    drafted token is right, `noise` the coefficient of variation of step times.
    """

    hardware: Hardware
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 2048
    block: int = 16
    num_blocks: int = 0
    context: int = 0
    prefix_cache: bool = True
    speculate_tokens: int = 0
    acceptance: float = 0.7
    noise: float = 0.0
    faults: Faults = field(default_factory=Faults)


class Done(NamedTuple):
    """A step that ended at `end_ns`; `admitted` left the queue when it began, at `start_ns`."""

    start_ns: int
    end_ns: int
    admitted: list[str]
    outputs: list[Output]


class Simulation:
    """One engine at work; times are nanoseconds on whatever clock the caller keeps."""

    def __init__(self, deployment: Deployment, seed: int = 0) -> None:
        self.context = deployment.context or deployment.hardware.shape.context
        self._runner = SimRunner(
            Roofline(deployment.hardware), cv=deployment.noise, faults=deployment.faults, seed=seed
        )
        self._scheduler = _scheduler(deployment, self.context, seed)
        self._inbox: list[tuple[int, int, Sequence]] = []
        self._order = count()
        self._aborts: list[str] = []
        self._plan: list[Chunk] = []
        self._start_ns = _NEVER
        self.end_ns: int | None = None

    def submit(self, sequence: Sequence, at_ns: int) -> int:
        """Takes a request that arrived at `at_ns`; it counts from then, or from after the last step's begin."""
        at_ns = max(at_ns, self._start_ns + 1)
        heapq.heappush(self._inbox, (at_ns, next(self._order), sequence))
        if self.end_ns is None:
            self._begin(at_ns)
        return at_ns

    def abort(self, sequence_id: str) -> None:
        """Forgets a request; in the middle of a step at its end, for a device cannot stop."""
        self._inbox = [entry for entry in self._inbox if entry[2].id != sequence_id]
        heapq.heapify(self._inbox)
        if self.end_ns is None:
            self._scheduler.abort(sequence_id)
        else:
            self._aborts.append(sequence_id)

    def load(self) -> Load:
        """How many run and wait, how full the pool is, and what was done."""
        load = self._scheduler.load()
        return replace(load, waiting=load.waiting + len(self._inbox))

    def finish(self) -> Done:
        """Ends the step that runs and begins the next. Only while `end_ns` is not None."""
        plan, start_ns, end_ns = self._plan, self._start_ns, self.end_ns
        assert end_ns is not None
        admitted = [chunk.sequence.id for chunk in plan if _newly_admitted(chunk)]
        outputs = self._scheduler.advance(plan, self._runner.step(plan))
        for sequence_id in self._aborts:
            self._scheduler.abort(sequence_id)
        self._aborts.clear()
        self._begin(end_ns)
        return Done(start_ns, end_ns, admitted, outputs)

    def _begin(self, at_ns: int) -> None:
        """The step that starts at `at_ns`, or with the next request; none when nothing is to be done."""
        if not self._scheduler.busy:
            if not self._inbox:
                self._start_ns, self.end_ns = at_ns, None
                return
            at_ns = max(at_ns, self._inbox[0][0])
        while self._inbox and self._inbox[0][0] <= at_ns:
            self._scheduler.add(heapq.heappop(self._inbox)[2])
        self._plan = self._scheduler.plan()
        self._start_ns, self.end_ns = at_ns, at_ns + self._runner.duration_ns(self._plan)


def _newly_admitted(chunk: Chunk) -> bool:
    new = not chunk.sequence.admitted
    chunk.sequence.admitted = True
    return new


def _scheduler(deployment: Deployment, context: int, seed: int) -> Scheduler:
    pool = Blocks(pool_blocks(deployment, context))
    return Scheduler(
        pool, max_num_seqs=deployment.max_num_seqs, budget=deployment.max_num_batched_tokens, end=_NEVER
    )


def pool_blocks(deployment: Deployment, context: int) -> int:
    """Blocks of the KV pool, the padding block included. UsageError when not even one request fits."""
    blocks = deployment.num_blocks or deployment.hardware.kv_tokens() // deployment.block
    if blocks * deployment.block < context:
        raise UsageError(
            f"a KV pool of {blocks * deployment.block:,} tokens does not hold one context of {context:,}; "
            "ask for a shorter --max-model-len, or give more memory."
        )
    return blocks + 1
