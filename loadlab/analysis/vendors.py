"""A vendor comparison in numbers: rows of all vendors in, standings, pairs and tiers out.

Failed requests are in no latency and always in the availability. Unknown numbers are None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.blocks import quantiles
from loadlab.analysis.intervals import CONFIDENCE, Interval, wilson
from loadlab.analysis.percentiles import Sample, percentile
from loadlab.analysis.samples import column, flag, ok
from loadlab.analysis.tiers import Pair, pairs, tiers, typical
from loadlab.analysis.vendor_measures import MEASURES, TIERED, answers
from loadlab.core.money import Price
from loadlab.core.units import NS_PER_MS, NS_PER_S

STATS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
FEWEST_IN_CELL = 10
_DAY_S, _HOUR_S = 86_400, 3_600
LIST_MIX = (3.0, 1.0)


@dataclass(frozen=True, slots=True)
class Standing:
    """One vendor under one workload.

    `measures`: {measure: {p50, p95, p99: Interval}}; `available`: share of requests answered. `cold`: medians
    (ms) of requests that had to connect first, and their n. `tokens`: what the vendor counts beside the
    reference. `cost`: USD, keys of `costs`.
    """

    vendor: str
    sent: int
    answered: int
    measures: Mapping[str, Mapping[str, Interval]]
    available: Interval
    kinds: Mapping[str, int]
    cold: Mapping[str, float | None]
    tokens: Mapping[str, float | None]
    cost: Mapping[str, float | None]
    samples: Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What can be said of one measure: every pair, and the tiers that follow, best first."""

    pairs: tuple[Pair, ...]
    tiers: tuple[tuple[str, ...], ...]

    def tier_of(self, vendor: str) -> int | None:
        """The vendor's tier, from 1; None where it was not measured."""
        return next((at for at, names in enumerate(self.tiers, 1) if vendor in names), None)


@dataclass(frozen=True, slots=True)
class Compared:
    """One workload: standings in the order of the file, a ranking per tiered measure, the map of the day.

    `hours`: a row per vendor and part of the day (UTC) with n and the median of each measure. `sigma` and
    `slot_noise` are the scatter found, of logarithms: of one request, and of what a slot adds.
    """

    workload: str
    slots: int
    standings: tuple[Standing, ...]
    rankings: Mapping[str, Ranking]
    hours: pd.DataFrame
    sigma: float | None
    slot_noise: float | None


def compare(
    rows: pd.DataFrame,
    vendors: Sequence[str],
    workload: str,
    prices: Mapping[str, Price | None],
    own_mix: tuple[float, float] = LIST_MIX,
) -> Compared:
    """The comparison under one workload, from the store's `vendor_requests`; `prices`: as they are listed."""
    asked = rows[rows["workload"] == workload]
    good = answers(asked)
    standings = tuple(
        _standing(
            name, asked[asked["vendor"] == name], good[good["vendor"] == name], prices.get(name), own_mix
        )
        for name in vendors
    )
    rankings = {measure: _ranking(good, vendors, measure) for measure in TIERED}
    sigma, noise = _scatter(good, "e2e_500_ms")
    slots = int(good["slot"].nunique())
    return Compared(workload, slots, standings, rankings, _hours(good), sigma, noise)


def _standing(
    name: str, asked: pd.DataFrame, good: pd.DataFrame, price: Price | None, own_mix: tuple[float, float]
) -> Standing:
    sent, answered = len(asked), int(ok(asked).sum())
    kinds = asked["error_kind"].value_counts()
    return Standing(
        vendor=name,
        sent=sent,
        answered=answered,
        measures={measure: _spread(good, measure) for measure in MEASURES},
        available=_share(answered, sent),
        kinds={str(kind): int(n) for kind, n in kinds.items()},
        cold=_cold(asked, good),
        tokens=_tokens(good),
        cost=costs(good, price, own_mix),
        samples={measure: _known(column(good, measure)) for measure in MEASURES},
    )


def _spread(good: pd.DataFrame, measure: str) -> dict[str, Interval]:
    blocks = [column(block, measure) for _, block in good.groupby("slot")]
    return dict(zip(STATS, quantiles(blocks, list(STATS.values())), strict=True))


def _known(values: Sample) -> Sample:
    return values[np.isfinite(values)]


def _share(hits: int, n: int) -> Interval:
    if not n:
        return Interval(None, None, None, 0, 0, "no request was sent")
    return Interval(hits / n, *wilson(hits / n, n, CONFIDENCE), n, n)


def _cold(asked: pd.DataFrame, good: pd.DataFrame) -> dict[str, float | None]:
    """What a first request pays: its connection (TLS in it), and its first token beside the others'."""
    first = asked[ok(asked) & (column(asked, "seq") == 0)]
    cold = first[~flag(first, "reused")]
    ttft = column(cold, "first_token_ns") - column(cold, "sent_ns")
    return {
        "n": float(len(cold)),
        "connect_ms": percentile(column(cold, "connect_ns") / NS_PER_MS, 0.5),
        "tls_ms": percentile(column(cold, "tls_ns") / NS_PER_MS, 0.5),
        "ttft_ms": percentile((ttft + column(cold, "connect_ns")) / NS_PER_MS, 0.5),
        "warm_ttft_ms": percentile(column(good, "ttft_ms"), 0.5),
        "reused_share": float(flag(good, "reused").mean()) if len(good) else None,
    }


def _tokens(good: pd.DataFrame) -> dict[str, float | None]:
    """Tokens per answer; where the vendor reports none, its columns are None. Reasoning counts apart."""
    reported = (good["count_source"] == "usage").to_numpy(dtype=bool)
    reasoning = np.nan_to_num(column(good, "reasoning_tokens"))
    billed = np.where(reported, column(good, "output_tokens"), np.nan)
    reference, chars = column(good, "reference_tokens"), column(good, "output_chars")
    both = np.isfinite(billed) & np.isfinite(reference)
    return {
        "prompt": _mean(column(good, "prompt_tokens")),
        "cached": _mean(column(good, "cached_tokens")),
        "reasoning": _mean(column(good, "reasoning_tokens")),
        "vendor": _mean(billed - reasoning),
        "reference": _mean(reference),
        "inflation": _ratio((billed - reasoning)[both].sum(), reference[both].sum()),
        "chars_per_token": _ratio(np.nansum(chars), np.nansum(reference)),
        "per_event": _ratio(np.nansum(reference), np.nansum(column(good, "chunks"))),
    }


def _mean(values: Sample) -> float | None:
    kept = _known(values)
    return float(kept.mean()) if kept.size else None


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def costs(good: pd.DataFrame, price: Price | None, own_mix: tuple[float, float]) -> dict[str, float | None]:
    """Listed and effective prices, USD per million tokens, and of one answer as it was measured.

    Effective: prompts at what was read from a cache, answers per million tokens of the reference, so that a
    tokenizer that cuts small, and thinking that is billed, show in the price. Mixes weigh both.
    """
    listed = (price.input_usd_per_mtok, price.output_usd_per_mtok) if price else (None, None)
    effective = (_effective_input(good, price), _effective_output(good, price))
    spent = _known(column(good, "cost_nano_usd"))
    return {
        "input": listed[0],
        "output": listed[1],
        "list_3_1": _mixed(listed, LIST_MIX),
        "list_own": _mixed(listed, own_mix),
        "effective_input": effective[0],
        "effective_output": effective[1],
        "effective_3_1": _mixed(effective, LIST_MIX),
        "effective_own": _mixed(effective, own_mix),
        "answer": float(spent.mean()) / 1e9 if spent.size else None,
    }


def _mixed(prices: tuple[float | None, float | None], mix: tuple[float, float]) -> float | None:
    if prices[0] is None or prices[1] is None:
        return None
    return (prices[0] * mix[0] + prices[1] * mix[1]) / (mix[0] + mix[1])


def _effective_input(good: pd.DataFrame, price: Price | None) -> float | None:
    if price is None or price.input_usd_per_mtok is None:
        return None
    cached, prompts = column(good, "cached_tokens"), column(good, "prompt_tokens")
    known = np.isfinite(prompts)
    share = _ratio(np.nansum(np.minimum(cached, prompts)[known]), prompts[known].sum())
    rate = price.cached_input_usd_per_mtok
    if share is None or rate is None:
        return price.input_usd_per_mtok
    return price.input_usd_per_mtok * (1 - share) + rate * share


def _effective_output(good: pd.DataFrame, price: Price | None) -> float | None:
    if price is None or price.output_usd_per_mtok is None:
        return None
    billed, reference = column(good, "output_tokens"), column(good, "reference_tokens")
    known = np.isfinite(billed) & np.isfinite(reference)
    inflation = _ratio(billed[known].sum(), reference[known].sum())
    return None if inflation is None else price.output_usd_per_mtok * inflation


def slot_logs(good: pd.DataFrame, vendors: Sequence[str], measure: str) -> dict[str, Sample]:
    """Of each vendor the logarithm of its typical value in each slot, NaN where it has none."""
    slots = sorted(good["slot"].unique())
    found = {name: np.full(len(slots), np.nan) for name in vendors}
    for (vendor, slot), block in good.groupby(["vendor", "slot"]):
        values = _known(column(block, measure))
        if vendor in found and values.size:
            found[vendor][slots.index(slot)] = float(typical(np.log(np.maximum(values, 1e-9))))
    return found


def _ranking(good: pd.DataFrame, vendors: Sequence[str], measure: str) -> Ranking:
    logs = slot_logs(good, vendors, measure)
    told = pairs(logs)
    middle = {name: _mean(values) for name, values in logs.items()}
    ranked = tiers(middle, told, MEASURES[measure].better == "higher")
    return Ranking(tuple(told), tuple(map(tuple, ranked)))


def _scatter(good: pd.DataFrame, measure: str) -> tuple[float | None, float | None]:
    """The SD of one request's logarithm in its slot, and that of what slots add, pooled over vendors."""
    within, between = [], []
    for _, of_vendor in good.groupby("vendor"):
        blocks = [np.log(values) for _, block in of_vendor.groupby("slot")
                  if (values := _known(column(block, measure))).size > 1]  # fmt: skip
        if len(blocks) < 2:
            continue
        inside = float(np.mean([block.var(ddof=1) for block in blocks]))
        size = float(np.mean([block.size for block in blocks]))
        within.append(inside)
        between.append(max(0.0, float(np.var([block.mean() for block in blocks], ddof=1)) - inside / size))
    if not within:
        return None, None
    return float(np.sqrt(np.mean(within))), float(np.sqrt(np.mean(between)))


def _hours(good: pd.DataFrame, parts: int = 8) -> pd.DataFrame:
    """n and medians by vendor and part of the day; a cell of fewer than ten answers has no median."""
    at_s = (column(good, "started_at_ns") + column(good, "sent_ns")) / NS_PER_S % _DAY_S
    cells = good.assign(part=(at_s // (_DAY_S // parts)).astype(int))
    rows: list[dict[str, Any]] = []
    for (vendor, part), block in cells.groupby(["vendor", "part"]):
        few = len(block) < FEWEST_IN_CELL
        medians = {name: None if few else percentile(column(block, name), 0.5) for name in MEASURES}
        hours = _DAY_S // _HOUR_S // parts
        rows.append(
            {
                "vendor": vendor,
                "from_hour": int(str(part)) * hours,
                "hours": hours,
                "n": len(block),
                **medians,
            }
        )
    columns = ["vendor", "from_hour", "hours", "n", *MEASURES]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(MEASURES, np.float64))
