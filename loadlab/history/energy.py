"""Where a stretch of numbers most looks like two: the energy statistic of Matteson and James (E-divisive).

Q(τ, κ) compares [0, τ) with [τ, κ): twice the mean distance between the two, less the mean distance inside
each, weighted by nm / (n + m). Every sum comes from one table of cumulated distances. In scope: the place and
its Q. Out of scope: whether it means anything.
"""

from __future__ import annotations

import numpy as np

from loadlab.analysis.percentiles import Sample


def split(values: Sample, fewest: int) -> tuple[int, int] | None:
    """The τ and κ that maximise Q with at least `fewest` values on either side of τ; None without room."""
    n = values.size
    if n < 2 * fewest:
        return None
    q = statistic(values)
    tau, kappa = np.indices(q.shape)
    q[(tau < fewest) | (kappa - tau < fewest)] = -np.inf
    best = np.unravel_index(np.argmax(q), q.shape)
    return int(best[0]), int(best[1])


def statistic(values: Sample) -> Sample:
    """Q as a table of τ (rows) and κ (columns), both 0 … n; -inf where a side is empty."""
    size = np.arange(values.size + 1.0)
    summed = np.zeros((values.size + 1, values.size + 1))
    summed[1:, 1:] = np.abs(values[:, None] - values[None, :]).cumsum(axis=0).cumsum(axis=1)
    own = np.diagonal(summed)
    n, m = size[:, None], size[None, :] - size[:, None]
    between = summed - own[:, None]
    left, right = own[:, None] / 2, (own[None, :] - 2 * summed + own[:, None]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inside_left = np.where(n > 1, m * left / (n - 1), 0.0)
        inside_right = np.where(m > 1, n * right / (m - 1), 0.0)
        q: Sample = 2 * (between - inside_left - inside_right) / (n + m)
    return np.where((n > 0) & (m > 0), q, -np.inf)
