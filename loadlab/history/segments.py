"""A series cut where it changes: candidates from overlapping windows, then the weakest merged away.

Windows of 50 runs begin at every 25th, so that an appended run touches the last ones only; each is split
again and again where the energy statistic says, as long as the sides differ at ten times the wanted p. Then,
over the whole series, the least certain cut goes until all that are left are certain enough.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loadlab.analysis.percentiles import Sample
from loadlab.history import energy
from loadlab.history.step import Step, median_shift, step

WINDOW, STRIDE = 50, 25
FEWEST_RUNS = 8
SIDE = 3  # runs on either side of a cut: one odd run, or two, are no step
PRACTICAL = 0.03
WEAKER = 10.0


@dataclass(frozen=True, slots=True)
class Cut:
    """Between run `at` - 1 and run `at` of a series. `strong`: both opinions agree that it matters."""

    at: int
    step: Step
    strong: bool


def cuts(
    values: Sample, limit: float, forced: Iterable[int] = (), windows: Windows | None = None
) -> list[Cut]:
    """Every cut of a series of logarithms, the weak ones too; `limit` is the p of a strong one.

    `forced` are places that are tried whatever the statistic says: there something else changed.
    """
    loose = min(0.5, WEAKER * limit)
    candidates = {at for at in forced if SIDE <= at <= values.size - SIDE}
    candidates |= (windows or Windows()).candidates(values, loose)
    weak = merged(values, sorted(candidates), loose)
    strong = merged(values, list(weak), limit)
    certain = {at: found for at, found in strong.items() if _matters(values, strong, at, found)}
    return [Cut(at, certain.get(at, found), at in certain) for at, found in weak.items()]


class Windows:
    """The candidates of each full window, kept: they do not change when runs are appended."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, float], frozenset[int]] = {}

    def candidates(self, values: Sample, limit: float) -> set[int]:
        """Where any window is split, as places of the series."""
        found: set[int] = set()
        for start in range(0, max(1, values.size - STRIDE), STRIDE):
            window = values[start : start + WINDOW]
            if window.size < WINDOW:
                found.update(at + start for at in divided(window, limit))
                continue
            key = start, limit
            if key not in self._known:
                self._known[key] = frozenset(at + start for at in divided(window, limit))
            found |= self._known[key]
        return found


def divided(values: Sample, limit: float) -> list[int]:
    """Where one window is split: recursively, as long as the two sides differ with p ≤ `limit`.

    The right side ends where the statistic says, or a short visit would drown in what comes after it.
    """
    best = energy.split(values, SIDE)
    if best is None:
        return []
    at, end = best
    if step(values[:at], values[at:end]).p > limit:
        return []
    return [*divided(values[:at], limit), at, *(at + each for each in divided(values[at:], limit))]


def merged(values: Sample, places: Sequence[int], limit: float) -> dict[int, Step]:
    """The places left once the least certain has been taken away until all have p ≤ `limit`."""
    kept = list(places)
    found = {at: _between(values, kept, at) for at in kept}
    while found:
        worst = max(found, key=lambda at: found[at].p)
        if found[worst].p <= limit:
            break
        place = kept.index(worst)
        del kept[place], found[worst]
        for at in kept[max(0, place - 1) : place + 1]:
            found[at] = _between(values, kept, at)
    return {at: found[at] for at in kept}


def sides(values: Sample, places: Sequence[int], at: int) -> tuple[Sample, Sample]:
    """The stretches before and after a place, up to the neighbouring places."""
    before = max((place for place in places if place < at), default=0)
    after = min((place for place in places if place > at), default=values.size)
    return values[before:at], values[at:after]


def _between(values: Sample, places: Sequence[int], at: int) -> Step:
    return step(*sides(values, places, at))


def _matters(values: Sample, places: dict[int, Step], at: int, found: Step) -> bool:
    """Whether the step is 3 % at least, and the interval of the median shift agrees."""
    least = math.log1p(PRACTICAL)
    left, right = sides(values, list(places), at)
    if abs(found.shift) < least or min(left.size, right.size) < SIDE:
        return False
    interval = median_shift(left, right)
    return interval is not None and (interval[0] > least or interval[1] < -least)
