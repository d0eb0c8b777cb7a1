"""A simulated server without a clock: told what arrives, it says when each step ends and what came out.

The scheduler and the KV pool are those of the torch engine; only the runner is another. A step begins when
the one before ended, or with the first arrival, and takes in what had arrived by then: so the schedule
follows from the arrivals alone. Who drives it decides what time is: `step_engine` waits, `virtual` does not.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, NamedTuple

from loadlab.core.errors import UsageError
from loadlab.server.faults import Faults
from loadlab.server.job import EngineError, Load
from loadlab.server.kv import BLOCK, Pool
from loadlab.server.plan import Chunk, Output, Sequence
from loadlab.server.roofline import Hardware, Roofline
from loadlab.server.schedule import Scheduler
from loadlab.server.sim_runner import SimProposer, SimRunner
from loadlab.server.switches import Switches

_NEVER = -1
_SWITCHES = Switches(max_num_seqs=256, max_num_batched_tokens=2048)


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model on hardware with its engine's settings.

    `blocks` 0 is what the memory holds, `context` 0 what the model has or the pool holds. `acceptance` is the
    chance that a drafted token is right, `noise` the coefficient of variation of step times.
    """

    hardware: Hardware
    switches: Switches = _SWITCHES
    block: int = BLOCK
    blocks: int = 0
    context: int = 0
    acceptance: float = 0.7
    noise: float = 0.0
    faults: Faults = field(default_factory=Faults)

    @property
    def label(self) -> str:
        """The hardware in words: "2 × h100 (datasheet, losses assumed)"."""
        ways = self.hardware.tensor_parallel
        return f"{ways} × {self.hardware.device.label}" if ways > 1 else self.hardware.device.label


class Done(NamedTuple):
    """A step; `admitted` left the queue at its start, each with so many tokens from the prefix cache."""

    start_ns: int
    end_ns: int
    admitted: list[tuple[Sequence, int]]
    outputs: list[Output]


class Simulation:
    """One engine at work; times are nanoseconds on whatever clock the caller keeps."""

    def __init__(self, deployment: Deployment, seed: int = 0) -> None:
        pool, self._switches = _pool(deployment), deployment.switches
        self.context = _context(deployment, pool)
        self._fixed = {
            "quant": deployment.hardware.quant,
            "block_size": pool.block,
            "num_blocks": pool.total,
            "cuda_graphs": deployment.hardware.graphs and deployment.hardware.device.graphs,
            "tensor_parallel": deployment.hardware.tensor_parallel,
        }
        self._most_places = deployment.switches.max_num_seqs
        proposers = {"ngram": SimProposer(deployment.acceptance, seed)}
        self._scheduler = Scheduler(pool, deployment.switches, end=_NEVER, proposers=proposers)
        roofline = Roofline(deployment.hardware)
        self._runner = SimRunner(roofline, cv=deployment.noise, faults=deployment.faults, seed=seed)
        self._inbox: list[tuple[int, int, Sequence]] = []
        self._order = count()
        self._aborts: list[str] = []
        self._plan: list[Chunk] = []
        self._start_ns = _NEVER
        self.end_ns: int | None = None

    def submit(self, sequence: Sequence, at_ns: int) -> int:
        """Takes a request that arrived at `at_ns`; it counts from then, or the last begin."""
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

    @property
    def places(self) -> int:
        """How many requests run at once."""
        return self._switches.max_num_seqs

    def settings(self) -> dict[str, Any]:
        """See `job.Engine.settings`."""
        return self._switches.document(self._fixed)

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Switches techniques from the next step on. Raises EngineError 400."""
        switches = self._switches.changed(changes, self._fixed)
        if switches.speculate == "draft":
            raise EngineError("speculate: a simulation has no draft model; use ngram or off.", 400)
        if switches.max_num_seqs > self._most_places:
            raise EngineError(f"max_num_seqs cannot exceed the {self._most_places} it was started with.", 400)
        self._switches = switches
        if self.end_ns is None:
            self._scheduler.switch(switches)

    def finish(self) -> Done:
        """Ends the step that runs and begins the next. Only while `end_ns` is not None."""
        plan, start_ns, end_ns = self._plan, self._start_ns, self.end_ns
        assert end_ns is not None
        admitted = self._scheduler.admitted
        outputs = self._scheduler.advance(plan, self._runner.step(plan))
        for sequence_id in self._aborts:
            self._scheduler.abort(sequence_id)
        self._aborts.clear()
        self._scheduler.switch(self._switches)
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


def _pool(deployment: Deployment) -> Pool:
    blocks = deployment.blocks or deployment.hardware.kv_tokens() // deployment.block
    return Pool(blocks + 1, deployment.block, caching=deployment.switches.prefix_cache)


def _context(deployment: Deployment, pool: Pool) -> int:
    """The longest request. Raises UsageError when the pool does not hold what was asked for."""
    room, own = pool.total * pool.block, deployment.hardware.shape.context
    if deployment.context > own:
        raise UsageError(
            f"--max-model-len {deployment.context} is more than the model's own context of {own}."
        )
    if deployment.context > room:
        raise UsageError(
            f"--max-model-len {deployment.context}: the KV cache holds {room} tokens; "
            "ask for less or give more memory."
        )
    return deployment.context or min(own, room)
