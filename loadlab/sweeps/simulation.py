"""Searches on made-up servers of known truth: how often the interval holds it. Nothing is sent.

A server is a queue before `places` that each serve one request at a time; what the SLO limits is the time
from arrival to the first token. Levels are as long as measured ones, begin empty, and are judged by the same
code.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from loadlab.analysis.intervals import design_effect
from loadlab.analysis.percentiles import Sample, percentile
from loadlab.analysis.steady import growth
from loadlab.core.units import NS_PER_S
from loadlab.sweeps.search import Aim, Answer, Count, Probe, answer, following

_LOOK_S = 2.0

Draw = Callable[[np.random.Generator, int], Sample]


@dataclass(frozen=True, slots=True)
class Queue:
    """`places` servers; `service` draws times in s of mean 1 / `pace`; the first token comes at once."""

    places: int
    service: Draw
    pace: float

    @property
    def capacity(self) -> float:
        """The rate (1/s) above which the queue grows for ever."""
        return self.places * self.pace

    def waits(self, rng: np.random.Generator, rate: float, count: int) -> Sample:
        """How long each of `count` Poisson arrivals waits (s), from empty on."""
        return self.waits_of(np.cumsum(rng.exponential(1 / rate, count)), self.service(rng, count))

    def waits_of(self, arrivals: Sample, service: Sample) -> Sample:
        """How long each of these arrivals waits (s)."""
        waits, free = np.empty(arrivals.size), [0.0] * self.places
        for at in range(arrivals.size):
            begin = max(free[0], arrivals[at])
            waits[at] = begin - arrivals[at]
            heapq.heapreplace(free, begin + service[at])
        return waits

    def truth(self, p: float, limit_s: float, first_s: float) -> float:
        """The rate at which the p-quantile of the first token is the limit, by a long simulation."""
        low, high = 0.3 * self.capacity, 0.99 * self.capacity
        for _ in range(9):
            rate = (low + high) / 2
            waits = self.waits(np.random.default_rng(0), rate, 300_000)[20_000:]
            found = percentile(waits, p)
            assert found is not None
            low, high = (rate, high) if found + first_s <= limit_s else (low, rate)
        return (low + high) / 2


def exponential(mean_s: float) -> Draw:
    """Service times of the widest usual spread."""
    return lambda rng, count: rng.exponential(mean_s, count)


def constant(mean_s: float) -> Draw:
    """Service times that are all alike."""
    return lambda rng, count: np.full(count, mean_s)


def lognormal(mean_s: float, sigma: float) -> Draw:
    """Service times of a long tail."""
    return lambda rng, count: mean_s * np.exp(rng.normal(-(sigma**2) / 2, sigma, count))


class Case(NamedTuple):
    """A server; the p-quantile of its first token, at least `first_s`, must not pass `limit_s`."""

    name: str
    server: Queue
    p: float
    limit_s: float
    first_s: float


CASES = (
    Case("M/M/4, p95 of 3 services", Queue(4, exponential(0.2), 5.0), 0.95, 0.65, 0.05),
    Case("M/D/4, p95 of 1 service", Queue(4, constant(0.2), 5.0), 0.95, 0.25, 0.05),
    Case("M/G/16, long tail, p95 of 1 service", Queue(16, lognormal(0.5, 0.8), 2.0), 0.95, 0.55, 0.05),
    Case("M/M/1, p90 of 4 services", Queue(1, exponential(0.1), 10.0), 0.90, 0.45, 0.05),
)


def probe(rng: np.random.Generator, case: Case, rate: float, length_s: float, warmup_s: float) -> Probe:
    """One measured level of that server."""
    waits = case.server.waits(rng, rate, max(20, round(rate * length_s)))
    strain = (waits[round(rate * warmup_s) :] + case.first_s) / case.limit_s
    beyond = (strain > 1).astype(np.float64)
    value = percentile(strain, case.p) or 1.0
    count = Count(
        case.name, beyond.size, int(beyond.sum()), 1 - case.p, math.log(value), design_effect(beyond)
    )
    return Probe(rate, (count,))


def search(rng: np.random.Generator, case: Case, length_s: float = 60.0, warmup_s: float = 5.0) -> Answer:
    """One whole search."""
    start = 1 / (case.first_s + 1 / case.server.pace)
    aim, probes = Aim(start, start / 32, 1e6), list[Probe]()
    while (rate := following(probes, aim)) is not None:
        probes.append(probe(rng, case, rate, length_s, warmup_s))
    return answer(probes, aim)


def stopped(rng: np.random.Generator, server: Queue, rate: float, length_s: float) -> float | None:
    """When a level on that server is ended as over capacity (s after its start), looked at every two seconds.

    None where it has its time.
    """
    count = max(2, round(rate * length_s))
    planned = np.cumsum(rng.exponential(1 / rate, count))
    first = planned + server.waits_of(planned, server.service(rng, count))
    rows = pd.DataFrame(
        {
            "planned_ns": planned * NS_PER_S, "sent_ns": planned * NS_PER_S,
            "first_token_ns": first * NS_PER_S, "done_ns": (first + 1 / server.pace) * NS_PER_S,
            "warmup": False, "error_kind": None,
        }
    )  # fmt: skip
    seen_before = False
    for now_s in np.arange(_LOOK_S, planned[-1], _LOOK_S):
        seen = _lasting(rows, now_s * NS_PER_S)
        if seen and seen_before:
            return float(now_s)
        seen_before = seen
    return None


def _lasting(rows: pd.DataFrame, now_ns: float) -> bool:
    """Whether requests under way and TTFT grew, up to the first arrival that has no answer yet."""
    waiting = rows["planned_ns"][rows["done_ns"] > now_ns]
    complete = rows[rows["planned_ns"] < (waiting.iloc[0] if len(waiting) else now_ns)]
    found = growth(complete) if len(complete) else None
    return found is not None and found.lasting
