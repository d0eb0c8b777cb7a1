"""Two stretches of runs, one after the other: by how much they differ, and two opinions on whether they do.

Values are logarithms, so a difference is a ratio. The first opinion is Student's t (Welch's where both sides
are long enough to know their own scatter), the second the Hodges-Lehmann interval of the shift, which
outliers do not move. In scope: given sides. Out of scope: where the series is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.distributions import NORMAL, student_above, student_quantile
from loadlab.analysis.intervals import CONFIDENCE
from loadlab.analysis.percentiles import Sample

OWN_SCATTER = (
    8  # a side of fewer runs borrows the other's scatter: Welch's t of 4 runs has 3 degrees of freedom
)


@dataclass(frozen=True, slots=True)
class Step:
    """From `left` to `right` (means of logarithms, of `n` and `m` runs): right - left with its 95 % interval.

    `p` is two-sided and does not know that the place was chosen. `low` and `high` are Hodges-Lehmann's, None
    where the runs are too few for them.
    """

    left: float
    right: float
    n: int
    m: int
    error: float
    freedom: float
    p: float

    @property
    def shift(self) -> float:
        """right - left."""
        return self.right - self.left

    @property
    def ratio(self) -> tuple[float, float, float]:
        """How much larger it became, and the 95 % interval by Student's t."""
        half = self.error * student_quantile((1 + CONFIDENCE) / 2, self.freedom)
        return math.exp(self.shift), math.exp(self.shift - half), math.exp(self.shift + half)


def step(left: Sample, right: Sample) -> Step:
    """What lies between two stretches of at least one run, three together."""
    n, m = left.size, right.size
    a, b = float(left.mean()), float(right.mean())
    error, freedom = _error(left, right)
    if error == 0.0:
        return Step(a, b, n, m, 0.0, freedom, float(a == b))
    return Step(a, b, n, m, error, freedom, 2 * student_above(abs(b - a) / error, freedom))


def _error(left: Sample, right: Sample) -> tuple[float, float]:
    """The standard error of the difference of the means, and its degrees of freedom."""
    n, m = left.size, right.size
    squares = [float(((side - side.mean()) ** 2).sum()) for side in (left, right)]
    if min(n, m) < OWN_SCATTER:
        freedom = n + m - 2
        return math.sqrt(sum(squares) / freedom * (1 / n + 1 / m)), float(freedom)
    a, b = squares[0] / (n - 1) / n, squares[1] / (m - 1) / m
    if a + b == 0.0:
        return 0.0, float(n + m - 2)
    return math.sqrt(a + b), (a + b) ** 2 / (a * a / (n - 1) + b * b / (m - 1))


def median_shift(left: Sample, right: Sample) -> tuple[float, float] | None:
    """The 95 % interval of the shift by Hodges and Lehmann, from all pairs; None where runs are too few."""
    n, m = left.size, right.size
    z = NORMAL.inv_cdf((1 + CONFIDENCE) / 2)
    rank = math.floor(n * m / 2 - z * math.sqrt(n * m * (n + m + 1) / 12))
    if rank < 1:
        return None
    shifts = np.sort((right[None, :] - left[:, None]).ravel())
    return float(shifts[rank - 1]), float(shifts[-rank])
