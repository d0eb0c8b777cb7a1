"""What a day would cost, and how many requests would miss the SLO, if replicas came and went with the load.

A fluid what-if in steps of a minute: load beyond what the replicas serve becomes a queue. A new replica
takes its cold start before it serves, and is paid from its order on. Checked against a simulation of single
requests (docs/accuracy.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, ok
from loadlab.planner import monotone
from loadlab.planner.capacity import Capacity
from loadlab.planner.criteria import Criterion
from loadlab.planner.measured import Measured, Step

POLICIES = ("static", "scheduled", "reactive", "oracle")
COOLDOWN_MIN, HOUR_MIN = 10, 60
_MINUTE_S = 60.0
_WORDS = {
    "static": "replicas for the peak, all the time",
    "scheduled": "each hour the replicas that its own busiest minute needs, started in time",
    "reactive": "replicas for the load of the minute before; a new one takes the cold start to come",
    "oracle": "replicas for the load of each minute, known a cold start ahead; gone after ten quiet minutes",
}


@dataclass(frozen=True, slots=True, eq=False)
class Replica:
    """What one replica does, all in req/s: `planned` of it in the plan, `most` before a queue grows.

    `over`: the share of requests beyond the SLO at a load below `most`. `patience_s`: how long one may wait
    in a queue and still keep it.
    """

    planned: float
    most: float
    over: Callable[[float], float]
    patience_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A policy over the time given: `serving` replicas by the minute, hours paid, the share over the SLO."""

    policy: str
    words: str
    serving: Sample
    replica_hours: float
    hours: float
    over_slo: float
    longest_wait_s: float


def replica(measured: Measured, found: Capacity, planned: float) -> Replica:
    """The replica that was measured. Loads of a closed loop stand for what came back at them."""
    criteria = tuple(fit.criterion for fit in found.fits)
    steps = measured.stable
    rates = np.array([step.rate if measured.axis == "users" else step.load for step in steps])
    shares = monotone.isotonic(
        np.array([_over(step, criteria) for step in steps]),
        np.array([float(step.answers + 1) for step in steps]),
    )
    order = np.argsort(rates, kind="stable")
    most = max(step.rate for step in measured.steps)
    return Replica(
        planned,
        max(most, planned),
        lambda rate: float(np.interp(rate, rates[order], shares[order])),
        _patience_s(steps, criteria),
    )


def courses(
    minutes: Sample, one: Replica, needed: int, spare: int, cold_start_s: float
) -> tuple[Course, ...]:
    """Every policy on the same minutes (req/s). `needed`: replicas for the peak, without the spare ones."""
    delay = math.ceil(cold_start_s / _MINUTE_S)
    need = np.maximum(1.0, np.ceil(minutes / one.planned - 1e-9))
    found = []
    for policy in POLICIES:
        serving, paid = _replicas(policy, need, needed, delay)
        over, longest = _queue(minutes, serving + spare, one)
        paid_hours = float((paid + spare).sum() / 60)
        words = _WORDS[policy]
        found.append(Course(policy, words, serving + spare, paid_hours, len(minutes) / 60, over, longest))
    return tuple(found)


def together(parts: Sequence[tuple[Course, ...]], shares: Sequence[float]) -> tuple[Course, ...]:
    """The courses of several parts of the traffic as one each; requests over the SLO weigh by their share."""
    found = []
    for same in zip(*parts, strict=True):
        over = sum(course.over_slo * share for course, share in zip(same, shares, strict=True))
        serving = np.sum([course.serving for course in same], axis=0)
        hours = sum(course.replica_hours for course in same)
        longest = max(course.longest_wait_s for course in same)
        first = same[0]
        found.append(Course(first.policy, first.words, serving, hours, first.hours, over, longest))
    return tuple(found)


def _replicas(policy: str, need: Sample, needed: int, delay: int) -> tuple[Sample, Sample]:
    """(serving, paid for) minute by minute, without the spare ones."""
    if policy == "static":
        fixed = np.full(len(need), float(needed))
        return fixed, fixed
    if policy == "reactive":
        ordered = _kept(np.concatenate([need[:1], need[:-1]]))
        return _window(ordered, delay, np.min), ordered
    wanted = _kept(need) if policy == "oracle" else _hourly(need)
    return wanted, _window(wanted[::-1], delay, np.max)[::-1]


def _hourly(need: Sample) -> Sample:
    hours = [need[at : at + HOUR_MIN] for at in range(0, len(need), HOUR_MIN)]
    return np.concatenate([np.full(len(hour), hour.max()) for hour in hours])


def _kept(need: Sample) -> Sample:
    """A replica goes only once it was not needed for the cooldown."""
    return _window(need, COOLDOWN_MIN - 1, np.max)


def _window(values: Sample, before: int, of: Callable[..., Sample]) -> Sample:
    """`of` each value and so many before it; the first was there for ever."""
    padded = np.concatenate([np.full(before, values[0]), values])
    return of(np.lib.stride_tricks.sliding_window_view(padded, before + 1), axis=1)


def _queue(minutes: Sample, replicas: Sample, one: Replica) -> tuple[float, float]:
    """(share of requests over the SLO, the longest wait in s) with what does not fit waiting in line."""
    backlog = missed = longest = 0.0
    for rate, count in zip(minutes.tolist(), replicas.tolist(), strict=True):
        room = count * one.most
        before, backlog = backlog, max(0.0, backlog + (rate - room) * _MINUTE_S)
        wait_s = (before + backlog) / 2 / room
        longest = max(longest, backlog / room)
        busy = one.most if before > 0 or backlog > 0 else rate / count
        missed += rate * (1.0 if wait_s > one.patience_s else one.over(busy))
    total = float(minutes.sum())
    return (missed / total if total else 0.0), longest


def _over(step: Step, criteria: tuple[Criterion, ...]) -> float:
    """The share of the requests sent at a load that failed or broke a limit."""
    shares = []
    for seen in step.seen:
        broken = ~ok(seen.requests)
        for criterion in criteria:
            for metric, limit in criterion.limits.items():
                if metric in REQUEST_METRICS:
                    broken |= REQUEST_METRICS[metric](seen.requests) > limit
        shares.append(broken.mean())
    return float(np.mean(shares))


def _patience_s(steps: tuple[Step, ...], criteria: tuple[Criterion, ...]) -> float:
    """The tightest limit that a wait eats into, less what the request takes without one."""
    room = [
        limit - float(np.nanmedian(np.concatenate([seen.sample(metric) for seen in steps[0].seen])))
        for criterion in criteria
        for metric, limit in criterion.limits.items()
        if metric.startswith(("ttft", "e2e"))
    ]
    return max(0.0, min(room, default=math.inf)) / 1000
