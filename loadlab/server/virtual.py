"""Serves a workload on simulated hardware without waiting: what `step_engine` would do, at once.

For planning: hours of load are computed in seconds, with no sleeping, no sockets and no luck but the seed's.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.server.job import Counts, Finish, Sampling
from loadlab.server.plan import Output, Sequence
from loadlab.server.simulation import Deployment, Done, Simulation


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: its prompt, its answer's length, and when it arrives (ns), which a closed loop ignores."""

    prompt: tuple[int, ...]
    output_tokens: int
    at_ns: int = 0


@dataclass(slots=True)
class Served:
    """What became of one request, in ns: arrived, left the queue, and the steps that gave tokens."""

    ask: Ask
    arrival_ns: int
    admitted_ns: int | None = None
    times_ns: array[int] = field(default_factory=lambda: array("q"))
    tokens: int = 0
    finish: Finish | None = None

    @property
    def ttft_ms(self) -> float | None:
        """Arrival to first token."""
        return (self.times_ns[0] - self.arrival_ns) / NS_PER_MS if self.times_ns else None

    @property
    def e2e_ms(self) -> float | None:
        """Arrival to last token."""
        return (self.times_ns[-1] - self.arrival_ns) / NS_PER_MS if self.finish else None

    @property
    def queue_ms(self) -> float | None:
        """Arrival to admission."""
        return None if self.admitted_ns is None else (self.admitted_ns - self.arrival_ns) / NS_PER_MS


@dataclass(frozen=True, slots=True)
class Outcome:
    """Every request in the order of arrival, what the engine did, and when its last step ended (ns)."""

    served: list[Served]
    counts: Counts
    end_ns: int

    @property
    def output_tokens_per_s(self) -> float:
        """Tokens generated over the time from the first arrival to the end."""
        begun = min((each.arrival_ns for each in self.served), default=0)
        return sum(each.tokens for each in self.served) * NS_PER_S / max(1, self.end_ns - begun)


def simulate(
    workload: Iterable[Ask], deployment: Deployment, *, seed: int = 0, users: int | None = None
) -> Outcome:
    """Serves an open loop, or with `users` a closed one, in which each asks next when the answer is complete.

    The workload must end; in an open loop its arrivals must not go back in time.
    """
    run = _Run(Simulation(deployment, seed), iter(workload))
    if users is None:
        run.open_loop()
    else:
        run.closed_loop(users)
    return Outcome(run.served, run.simulation.load().counts, run.now_ns)


class _Run:
    """One workload on its way through a simulation; `now_ns` is the end of the last step."""

    def __init__(self, simulation: Simulation, asks: Iterator[Ask]) -> None:
        self.simulation, self._asks = simulation, asks
        self.served: list[Served] = []
        self._open: dict[str, Served] = {}
        self.now_ns = 0

    def open_loop(self) -> None:
        """Requests come when they come."""
        for ask in self._asks:
            while (end_ns := self.simulation.end_ns) is not None and end_ns < ask.at_ns:
                self._step()
            self._submit(ask, ask.at_ns)
        while self.simulation.end_ns is not None:
            self._step()

    def closed_loop(self, users: int) -> None:
        """Each user asks as soon as the last answer is complete."""
        for ask in islice(self._asks, users):
            self._submit(ask, 0)
        while self.simulation.end_ns is not None:
            for ask in islice(self._asks, self._step()):
                self._submit(ask, self.now_ns)

    def _submit(self, ask: Ask, at_ns: int) -> None:
        number = len(self.served)
        sampling = Sampling(max_tokens=ask.output_tokens, ignore_eos=True, seed=number)
        sequence = Sequence(str(number), list(ask.prompt), ask.output_tokens, sampling)
        self.served.append(Served(ask, at_ns))
        self._open[sequence.id] = self.served[-1]
        self.simulation.submit(sequence, at_ns)

    def _step(self) -> int:
        """Finishes a step; how many answers it completed."""
        done = self.simulation.finish()
        self.now_ns = done.end_ns
        for sequence, _ in done.admitted:
            self._open[sequence.id].admitted_ns = done.start_ns
        return sum(self._take(output, done) for output in done.outputs)

    def _take(self, output: Output, done: Done) -> bool:
        served = self._open[output.sequence.id]
        served.tokens += len(output.choices)
        served.times_ns.append(done.end_ns)
        if output.finish:
            served.finish = output.finish
            del self._open[output.sequence.id]
        return output.finish is not None
