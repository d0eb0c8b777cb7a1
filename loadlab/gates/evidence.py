"""What pairs or sets of runs say about one measure: how much worse, how sure, and whether outliers decide it.

Logarithms of candidate / base, turned so that above 0 is worse. In scope: numbers. Out of scope: runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from statistics import fmean, median, stdev

from loadlab.analysis.compare import Spread
from loadlab.analysis.distributions import student_above, student_quantile
from loadlab.analysis.multiple import ALPHA
from loadlab.gates.nouns import Outcome


@dataclass(frozen=True, slots=True)
class Evidence:
    """The mean log ratio (above 0 is worse), its standard error, and `middle`, a robust estimate of it."""

    mean: float
    error: float
    freedom: float
    middle: float
    n: int

    def above(self, log_ratio: float) -> float:
        """The p value of "not worse than this": small means surely worse."""
        return student_above(self._t(self.mean - log_ratio), self.freedom)

    def below(self, log_ratio: float) -> float:
        """The p value of "at least as bad as this": small means surely not."""
        return student_above(self._t(log_ratio - self.mean), self.freedom)

    def changed(self) -> float:
        """The two-sided p value of "nothing changed"."""
        return min(1.0, 2 * min(self.above(0.0), self.below(0.0)))

    def bounds(self, alpha: float = ALPHA) -> tuple[float, float]:
        """The ratios between which it lies; each side is wrong with a chance of alpha."""
        half = student_quantile(1 - alpha, self.freedom) * self.error
        return math.exp(self.mean - half), math.exp(self.mean + half)

    def _t(self, apart: float) -> float:
        return apart / self.error if self.error > 0 else math.copysign(math.inf, apart or -1.0)


def of_pairs(logs: Sequence[float]) -> Evidence | None:
    """Of neighbours, measured in turn: a drift of the machine is in both. None of fewer than two."""
    if len(logs) < 2:
        return None
    error = stdev(logs) / math.sqrt(len(logs))
    return Evidence(fmean(logs), error, len(logs) - 1, hodges_lehmann(logs), len(logs))


def of_sides(base: Sequence[float], candidate: Sequence[float], spread: Spread | None) -> Evidence | None:
    """Of two sets of logarithms with the scatter between runs; None where that is not known."""
    if not base or not candidate or spread is None:
        return None
    apart = [b - a for a in base for b in candidate]
    error = spread.sd * math.sqrt(1 / len(base) + 1 / len(candidate))
    return Evidence(
        fmean(candidate) - fmean(base), error, spread.freedom, median(apart), len(base) + len(candidate)
    )


def hodges_lehmann(values: Sequence[float]) -> float:
    """The median of all averages of two: one outlier among six does not move it far."""
    return median((a + b) / 2 for a, b in combinations_with_replacement(values, 2))


def outcome(found: Evidence, worse: bool, tolerance: float, margin: float, alpha: float) -> Outcome:
    """FAIL where surely worse than the tolerance, PASS where surely within the margin, else INCONCLUSIVE.

    `worse` is what Holm says of `above(tolerance)`. Where the robust estimate contradicts, outliers decide.
    """
    if worse:
        return "FAIL" if found.middle > math.log1p(tolerance) else "INCONCLUSIVE"
    passed = found.below(math.log1p(margin)) <= alpha and found.middle < math.log1p(margin)
    return "PASS" if passed else "INCONCLUSIVE"


def pairs_wanted(
    found: Evidence, tolerance: float, margin: float, alpha: float, most: int = 100
) -> int | None:
    """How many pairs would settle it if they went on like these; None where `most` would not."""
    sd = found.error * math.sqrt(found.n)
    gap = max(math.log1p(margin) - found.mean, found.mean - math.log1p(tolerance))
    fits = (
        n for n in range(found.n + 1, most + 1)
        if student_quantile(1 - alpha, n - 1) * sd / math.sqrt(n) < gap
    )  # fmt: skip
    return next(fits, None)
