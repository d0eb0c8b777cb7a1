"""Which vendors can be told apart: pairs within slots, Holm over the pairs, tiers of the rest.

What happens in a slot happens to all vendors: ratios are taken within it, then over the slots. In
scope: a value per vendor and slot. Out of scope: what the value is of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from loadlab.analysis.distributions import student_above, student_quantile
from loadlab.analysis.multiple import ALPHA, holm
from loadlab.analysis.percentiles import Sample

FEWEST_SLOTS = 6
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Pair:
    """`b` over `a`: the ratio of their typical values in one slot, with its own 95 % interval.

    `apart`: told apart with an error of at most 5 % over all pairs together. Numbers are None where too few
    slots have both.
    """

    a: str
    b: str
    slots: int
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    p: float = 1.0
    apart: bool = False


def typical(logs: Sample) -> Sample:
    """The middle of the last axis: the median of all means of two (Hodges-Lehmann), firm against outliers.

    Values that are NaN are left out; of none the middle is NaN.
    """
    flat = logs.reshape(-1, logs.shape[-1])
    if not np.isnan(flat).any():
        return _middle(flat).reshape(logs.shape[:-1])
    return np.array([_middle(row[~np.isnan(row)]) for row in flat]).reshape(logs.shape[:-1])


def _middle(values: Sample) -> Sample:
    first, second = np.triu_indices(values.shape[-1])
    if not first.size:
        return np.array(np.nan)
    return np.asarray(np.median((values[..., first] + values[..., second]) / 2, axis=-1))


def pairs(slots: Mapping[str, Sample]) -> list[Pair]:
    """Every two vendors; `slots`: of each the logarithm of its typical value per slot, NaN where missing."""
    found = [_pair(a, b, slots[b] - slots[a]) for a, b in combinations(slots, 2)]
    apart = holm([pair.p for pair in found], ALPHA)
    return [
        Pair(pair.a, pair.b, pair.slots, pair.ratio, pair.low, pair.high, pair.p, told)
        for pair, told in zip(found, apart, strict=True)
    ]


def _pair(a: str, b: str, differences: Sample) -> Pair:
    kept = differences[np.isfinite(differences)]
    if kept.size < FEWEST_SLOTS:
        return Pair(a, b, int(kept.size))
    mean, error = float(kept.mean()), float(kept.std(ddof=1)) / math.sqrt(kept.size)
    freedom = kept.size - 1
    reach = student_quantile((1 + CONFIDENCE) / 2, freedom) * error
    t = abs(mean) / error if error else math.inf * bool(mean) if mean else 0.0
    p = 2 * student_above(t, freedom)
    return Pair(
        a, b, freedom + 1, math.exp(mean), math.exp(mean - reach), math.exp(mean + reach), min(p, 1.0)
    )


def tiers(values: Mapping[str, float | None], found: Sequence[Pair], higher: bool) -> list[list[str]]:
    """The vendors in tiers, best first: every one is told apart from every one of another tier.

    `values`: of each vendor its value, None where it has none (it is in no tier). Within a tier some may be
    told apart; there is then somebody between them who is not.
    """
    known = {name: value for name, value in values.items() if value is not None}
    order = sorted(known, key=lambda name: known[name], reverse=higher)
    apart = {frozenset((pair.a, pair.b)) for pair in found if pair.apart}
    result: list[list[str]] = []
    for place, name in enumerate(order):
        cut = all(frozenset((above, below)) in apart for above in order[:place] for below in order[place:])
        if cut:
            result.append([])
        result[-1].append(name)
    return result


def gap_found(
    sigma: float, slot_noise: float, prompts: int, slots: int, vendors: int, power: float = 0.9
) -> float | None:
    """The smallest ratio less 1 that two are told apart by with that power, at Holm's hardest step, or None.

    `sigma`: the SD of one request's logarithm; `slot_noise`: what a slot adds to each vendor.
    """
    count = vendors * (vendors - 1) // 2
    if slots < FEWEST_SLOTS or not count:
        return None
    efficiency = 3 / math.pi  # of the middle of pairs, against the mean of normal values
    spread = math.sqrt(2 * (sigma**2 / (efficiency * prompts) + slot_noise**2) / slots)
    tail = student_quantile(1 - ALPHA / count / 2, slots - 1) + student_quantile(power, slots - 1)
    return math.expm1(tail * spread)
