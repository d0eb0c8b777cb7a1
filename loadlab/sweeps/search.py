"""The most load under an SLO: which load to try next, and what those tried say. Pure: the past is all it has.

Doubles (or halves) until one load holds and a higher one does not, closes the bracket, and then measures on
both sides of the limit until the interval is as narrow as wanted. A load near the limit holds once and not
the next time; a rising curve through all counts decides, not the last answer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from loadlab.planner.monotone import isotonic
from loadlab.sweeps.crossing import Crossing, Tally, crossing

WITHIN = 0.05
LEVELS = 16
CLIFF = math.log(2)

_MIDDLE = 0.25  # a new load stays so far inside the bracket, whatever the curve says
_STEP = 0.06
_ENOUGH, _CLOSE = 7, 0.15  # by luck few levels agree: so many must be so near
_SPOILT = 3

Outcome = Literal["FOUND", "NONE", "AT LEAST", "WIDE", "INVALID"]


@dataclass(frozen=True, slots=True)
class Count:
    """Of `n` requests so many were `over` what a rule allows; `allowed` is the share that may be.

    `margin` is the logarithm of value / limit: 0.1 is 10 % beyond. `effect` neighbours count as one.
    """

    rule: str
    n: int
    over: int
    allowed: float
    margin: float
    effect: float = 1.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A load that was tried, counted by every rule. `unfit`: why it says nothing of the server, or empty.

    `saturated`: the server did not keep up; how far it is beyond depends on how long the level was.
    """

    load: float
    counts: tuple[Count, ...]
    saturated: bool = False
    unfit: str = ""

    @property
    def margin(self) -> float:
        """That of the rule that is worst off."""
        return max((count.margin for count in self.counts), default=math.inf)


@dataclass(frozen=True, slots=True)
class Aim:
    """What a search may try: loads from `least` to `most`, at first `start`, at most `levels` of them.

    `within`: how narrow bracket and interval (to both sides) are to become. `whole`: users, not a rate.
    """

    start: float
    least: float
    most: float
    within: float = WITHIN
    levels: int = LEVELS
    whole: bool = False

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Aim:
        """The aim that a run's `course` has written down."""
        return cls(**{name: written[name] for name in cls.__slots__ if name in written})


@dataclass(frozen=True, slots=True)
class Answer:
    """The most load that holds, between `low` and `high`; None is unknown.

    `holds` and `breaks`: the loads measured next to it. `cliff`: between them the value jumps to more than
    twice as much. `rule` is the one that limits; `why` in words where the outcome is not FOUND.
    """

    outcome: Outcome
    load: float | None = None
    low: float | None = None
    high: float | None = None
    holds: float | None = None
    breaks: float | None = None
    cliff: bool = False
    rule: str = ""
    why: str = ""


def following(probes: Sequence[Probe], aim: Aim) -> float | None:
    """The load to try next; None when the search is over."""
    if len(probes) >= aim.levels or _spoilt(probes):
        return None
    if probes and probes[-1].unfit:
        return probes[-1].load
    fit = _fit(probes)
    holds, breaks = bracket(fit)
    if holds is None:
        return _below(breaks, aim)
    if breaks is None:
        return None if holds >= aim.most else min(aim.most, 2 * holds)
    if not _narrow(holds, breaks, aim):
        return _between(fit, holds, breaks, aim)
    return _sharper(fit, holds, breaks, aim)


def bracket(probes: Sequence[Probe]) -> tuple[float | None, float | None]:
    """The highest load at which the rising curves keep every rule, and the lowest at which they do not."""
    loads = sorted(set(_loads(probes)))
    broken = {probe.load for probe in probes if probe.saturated}
    for at in range(len(probes[0].counts) if probes else 0):
        broken |= _broken(loads, [(probe.load, probe.counts[at]) for probe in probes])
    breaks = min(broken, default=None)
    holding = [load for load in loads if breaks is None or load < breaks]
    return max(holding, default=None), breaks


def _broken(loads: Sequence[float], counts: Sequence[tuple[float, Count]]) -> set[float]:
    """The loads at which the rising share of requests beyond a rule is more than it allows."""
    n, over = (
        np.array([sum(getattr(count, name) for at, count in counts if at == load) for load in loads], float)
        for name in ("n", "over")
    )
    fitted = isotonic(over / np.maximum(n, 1), n + 1e-9)
    allowed = counts[0][1].allowed
    return {load for load, share in zip(loads, fitted, strict=True) if share > allowed}


def _loads(probes: Sequence[Probe]) -> list[float]:
    return [probe.load for probe in probes]


def _fit(probes: Sequence[Probe]) -> list[Probe]:
    return [probe for probe in probes if not probe.unfit]


def _below(breaks: float | None, aim: Aim) -> float | None:
    if breaks is None:
        return aim.start
    if breaks <= aim.least:
        return None
    return max(aim.least, math.floor(breaks / 2) if aim.whole else breaks / 2)


def _narrow(holds: float, breaks: float, aim: Aim) -> bool:
    return breaks - holds <= aim.within * breaks or (aim.whole and breaks - holds <= 1)


def _between(probes: Sequence[Probe], holds: float, breaks: float, aim: Aim) -> float:
    """Where the curve crosses, kept away from the ends of the bracket."""
    low, high = math.log(holds), math.log(breaks)
    found, margin = math.log(_crossing(probes, holds, breaks)[0].load), _MIDDLE * (high - low)
    load = math.exp(min(max(found, low + margin), high - margin))
    return min(max(float(round(load)), holds + 1), breaks - 1) if aim.whole else _tidy(load)


def _sharper(probes: Sequence[Probe], holds: float, breaks: float, aim: Aim) -> float | None:
    """Another load a little below or above, by turns, until the interval is as narrow as wanted."""
    found, _ = _crossing(probes, holds, breaks)
    near = sum(abs(math.log(load / found.load)) < _CLOSE for load in _loads(probes))
    if aim.whole or (near >= _ENOUGH and found.high - found.low <= 2 * aim.within * found.load):
        return None
    below = sum(load < found.load for load in _loads(probes)) * 2 > len(probes)
    return _tidy(min(aim.most, found.load * (1 + _STEP if below else 1 - _STEP)))


def _tidy(load: float) -> float:
    return float(f"{load:.3g}")


def _crossing(probes: Sequence[Probe], holds: float, breaks: float) -> tuple[Crossing, str]:
    """Where the first rule crosses what it allows, and that rule."""
    about, found = math.sqrt(holds * breaks), list[tuple[Crossing, str]]()
    for at, first in enumerate(probes[0].counts):
        counts = [(probe.load, probe.counts[at]) for probe in probes]
        if any(count.over > count.allowed * count.n for _, count in counts):
            tallies = [Tally(load, count.n, count.over, count.effect) for load, count in counts]
            found.append((crossing(tallies, first.allowed, about), first.rule))
    if not found:  # saturated, and the rules had not noticed yet
        return Crossing(about, holds, breaks), "over capacity"
    return min(found, key=lambda pair: pair[0].load)


def answer(probes: Sequence[Probe], aim: Aim) -> Answer:
    """What the loads tried say."""
    if spoilt := _spoilt(probes):
        return Answer("INVALID", why=spoilt)
    fit = _fit(probes)
    holds, breaks = bracket(fit)
    if holds is None:
        lightest = breaks is not None and breaks <= aim.least
        why = "even the lightest load misses it" if lightest else "the search ended before a load held"
        return Answer("NONE" if lightest else "WIDE", breaks=breaks, why=why)
    if breaks is None:
        if holds >= aim.most:
            return Answer("AT LEAST", low=holds, holds=holds, why="the most that may be tried holds")
        return Answer(
            "WIDE", low=holds, holds=holds, why=f"the search ended before a load broke; {holds:g} holds"
        )
    found, rule = _crossing(fit, holds, breaks)
    cliff = _cliff(fit, holds, breaks)
    if cliff:  # no chance is so large: the limit is between the two
        found = Crossing(min(max(found.load, holds), breaks), min(found.low, holds), max(found.high, breaks))
    load, low, high = (
        (holds, min(holds, math.floor(found.low)), max(breaks - 1, math.floor(found.high)))
        if aim.whole
        else (found.load, found.low, found.high)
    )
    narrow = _narrow(holds, breaks, aim)
    why = (
        "" if narrow else f"the search ended with a bracket of {1 - holds / breaks:.0%}, not {aim.within:.0%}"
    )
    return Answer("FOUND" if narrow else "WIDE", load, low, high, holds, breaks, cliff, rule, why)


def _spoilt(probes: Sequence[Probe]) -> str:
    """Why the search cannot go on: the generator was unfit for one load more than once."""
    last = probes[-1] if probes else None
    if last is None or not last.unfit:
        return ""
    times = sum(probe.load == last.load and bool(probe.unfit) for probe in probes)
    return f"at {last.load:g} the generator was unfit {times} times: {last.unfit}" if times >= _SPOILT else ""


def _cliff(probes: Sequence[Probe], holds: float, breaks: float) -> bool:
    """Whether a load up to a tenth higher has a value more than twice as far."""
    below, above = (
        float(np.median([probe.margin for probe in probes if probe.load == load])) for load in (holds, breaks)
    )
    return breaks <= 1.1 * holds and above - below > CLIFF
