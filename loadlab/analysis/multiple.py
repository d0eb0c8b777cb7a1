"""Several questions at once: Holm's and Benjamini-Hochberg's procedures, and looks that share one alpha.

In scope: p values in, yes or no out.
"""

from __future__ import annotations

from collections.abc import Sequence

ALPHA = 0.05
FALSE_SHARE = 0.10
# Pocock's constants for one-sided 0.05 at one, two or three looks: 1.645, 1.875 and 1.992 as normal tails.
LOOKS = (0.05, 0.0304, 0.0232)


def holm(ps: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which hypotheses fall, with a chance of at most alpha that any of them does so wrongly."""
    found = [False] * len(ps)
    for step, at in enumerate(_ascending(ps)):
        if ps[at] > alpha / (len(ps) - step):
            break
        found[at] = True
    return found


def benjamini_hochberg(ps: Sequence[float], share: float = FALSE_SHARE) -> list[bool]:
    """Which hypotheses fall, where on average at most `share` of those that do fall wrongly."""
    order = _ascending(ps)
    last = max((step for step, at in enumerate(order, 1) if ps[at] <= share * step / len(ps)), default=0)
    fallen = set(order[:last])
    return [at in fallen for at in range(len(ps))]


def _ascending(ps: Sequence[float]) -> list[int]:
    return sorted(range(len(ps)), key=lambda at: ps[at])
