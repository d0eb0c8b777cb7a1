"""Is "the p-quantile is within the limit" shown by what was measured? As MLPerf's LoadGen stops early.

Of n values t are over the limit. If the quantile were not within it, so few would be over only by luck: the
claim counts as shown once that luck has a chance of at most 1 - c, and as refuted the same way round. In
scope: counts. Out of scope: where they come from.
"""

from __future__ import annotations

from typing import Literal

from loadlab.analysis.distributions import binomial_at_most

CONFIDENCE = 0.95
LOADGEN = 0.99
Shown = Literal["held", "broken", "undecided"]

_MOST = 1 << 40
_HOPELESS = 10_000_000


def shown(n: int, over: int, p: float, confidence: float = CONFIDENCE) -> Shown:
    """Whether `over` of `n` values beyond a limit show the p-quantile to keep it, break it, or neither."""
    chance = 1 - p
    if n and binomial_at_most(over, n, chance) <= 1 - confidence:
        return "held"
    if n and 1 - binomial_at_most(over - 1, n, chance) <= 1 - confidence:
        return "broken"
    return "undecided"


def fewest(over: int, p: float, confidence: float = CONFIDENCE) -> int:
    """The smallest n of which `over` may be over the limit and the claim is shown: 459 for p99, c = 0.99."""
    low, high = over + 1, over + 2
    while binomial_at_most(over, high, 1 - p) > 1 - confidence and high < _MOST:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        if binomial_at_most(over, middle, 1 - p) <= 1 - confidence:
            high = middle
        else:
            low = middle + 1
    return low


def wanted(n: int, over: int, p: float, confidence: float = CONFIDENCE) -> int | None:
    """How many values would settle it if the same share went on being over; None where it never would."""
    share = over / n if n else 0.0
    if share >= 1 - p:
        return None
    total = max(n, fewest(0, p, confidence))
    while shown(total, round(share * total), p, confidence) != "held" and total < _HOPELESS:
        total = total * 5 // 4 + 1
    return total if total < _HOPELESS else None
