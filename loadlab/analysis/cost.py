"""What a level cost and what that bought. Knows rows, a price and terms; not where a price comes from.

True to the cent or absent: one request of unknown cost makes the sum unknown, and what is known is given
apart as `usd_at_least`. Denominators hold the tokens of successful requests; failed ones are paid for too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from loadlab import pricing
from loadlab.analysis.nouns import Stored
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok
from loadlab.core.metrics import METRICS
from loadlab.core.nouns import Price, Terms
from loadlab.core.units import NS_PER_S, number, usd
from loadlab.pricing import words
from loadlab.pricing.costs import NANO_PER_USD

_MONEY = (
    "usd", "usd_at_least", "usd_per_mtok_output", "usd_per_mtok_blended", "usd_per_mtok_weighted",
    "usd_per_mtok_output_at_slo", "usd_per_mtok_input_list", "usd_per_mtok_input_effective", "wasted_usd",
    "warmup_usd",
)  # fmt: skip
KEYS = (*_MONEY, "energy_usd", "co2e_kg", "devices", "duty_cycle", "basis", "remarks")


def level_cost(
    stored: Stored,
    every: pd.DataFrame,
    readings: pd.DataFrame | None,
    window_s: float | None,
    joule: float | None = None,
) -> dict[str, Any]:
    """The cost of a level under the keys of `KEYS`, from all its requests; unknown is None.

    `readings` are those of the level, `joule` the energy of its window.
    """
    terms, remarks = stored.spec.terms, list[str]()
    measured = every[~flag(every, "warmup")]
    seen = devices_at_work(readings)
    found: dict[str, Any] = dict.fromkeys(KEYS)
    if stored.spec.routes:
        found |= _routed(stored, every, window_s, seen, remarks)
    else:
        found |= _spent(stored.price, stored.unpriced, terms, every, window_s, seen)
    found |= _per_mtok(found["usd"], found["duty_cycle"] or 1.0, terms, measured, remarks)
    found |= _energy(terms, joule, remarks)
    return {**found, "remarks": remarks}


def priced(requests: pd.DataFrame, price: Price | None, started_at_ns: int) -> pd.DataFrame:
    """The requests with what each costs under another price; `started_at_ns` is the run's anchor in UTC.

    Those that went to another route than the run's own target keep what they cost.
    """
    own = column(requests, "route") == 0
    costs = np.where(own, np.nan, column(requests, "cost_nano_usd"))
    if price is not None and price.kind == "token":
        meter = pricing.Meter(price)
        costs[own] = [
            meter.billed_nano_usd(row, pricing.Use.of(row), started_at_ns + (row.sent_ns or row.planned_ns))
            for row in _rows(requests[own])
        ]
    return requests.assign(cost_nano_usd=costs)


def devices_at_work(readings: pd.DataFrame | None) -> int | None:
    """How many GPUs were busy at any time, of those that NVML showed; None when none was."""
    if readings is None or readings.empty:
        return None
    shown = (readings["source"] == "nvml") & (readings["metric"] == "utilisation_percent")
    busy = readings[shown & (readings["value"] > 0)]
    return int(busy["device"].nunique()) or None


def met_slo(answered: pd.DataFrame, slo: Any) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which answers kept every limit; what is not defined for one (the pace of one token) breaks none."""
    kept = np.ones(len(answered), bool)
    for name, limit in slo.items():
        values = REQUEST_METRICS[name](answered)
        kept &= ~(values < limit) if METRICS[name].better == "higher" else ~(values > limit)
    return kept


class _Row(NamedTuple):
    """What a meter asks of a request, with plain numbers, unknown as None."""

    error_kind: str | None
    status: int | None
    sent_ns: int | None
    planned_ns: int
    prompt_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    audio_input_tokens: int | None
    reasoning_tokens: int | None
    audio_output_tokens: int | None
    audio_s: float | None


def _rows(requests: pd.DataFrame) -> Iterator[_Row]:
    columns = [[_plain(name, cell) for cell in requests[name]] for name in _Row._fields]
    return (_Row(*cells) for cells in zip(*columns, strict=True))


def _plain(name: str, cell: Any) -> Any:
    if pd.isna(cell):
        return None
    return cell if name == "error_kind" else float(cell) if name == "audio_s" else int(cell)


def _spent(
    price: Price | None,
    unpriced: str,
    terms: Terms,
    every: pd.DataFrame,
    window_s: float | None,
    seen: int | None,
) -> dict[str, Any]:
    """What the requests cost at one price."""
    measured = every[~flag(every, "warmup")]
    if price is None:
        return {"basis": _unpriced(unpriced)}
    if price.kind == "token":
        return _by_use(price, every, measured)
    return _by_the_hour(price, terms, every, measured, window_s, seen)


def _routed(
    stored: Stored, every: pd.DataFrame, window_s: float | None, seen: int | None, remarks: list[str]
) -> dict[str, Any]:
    """The sum over the target and the routes, each at its own price; what each had is remarked."""
    spec, parts = stored.spec, []
    places = [(spec.endpoint.name, stored.price, stored.unpriced)]
    places += [(route.name, route.price, route.unpriced) for route in spec.routes]
    for at, (name, price, unpriced) in enumerate(places):
        own = every[column(every, "route") == at].assign(route=0)
        part: dict[str, Any] = {"usd": None, "usd_at_least": None, "wasted_usd": None, "warmup_usd": None}
        part |= _spent(price, unpriced, spec.terms, own, window_s, seen)
        parts.append(part)
        share = f"{len(own):,} of {len(every):,} requests"
        remarks.append(f"route {name}: {share}, {usd(part['usd']) if len(own) else 'no cost'}")
    known = [part["usd_at_least"] for part in parts if part["usd_at_least"] is not None]
    return {
        "usd": _whole(part["usd"] for part in parts),
        "usd_at_least": sum(known) if known else None,
        "wasted_usd": _whole(part["wasted_usd"] for part in parts),
        "warmup_usd": _whole(part["warmup_usd"] for part in parts),
        "duty_cycle": next((part["duty_cycle"] for part in parts if "duty_cycle" in part), None),
        "basis": " + ".join(part["basis"] for part in parts),
    }


def _whole(values: Iterable[float | None]) -> float | None:
    """The sum, None as soon as one of them is."""
    every = list(values)
    known = [value for value in every if value is not None]
    return sum(known) if len(known) == len(every) else None


def _unpriced(why: str) -> str:
    return why if why.startswith("unpriced") else f"unpriced: {why or 'no price was given'}"


def _by_use(price: Price, every: pd.DataFrame, measured: pd.DataFrame) -> dict[str, Any]:
    cost = column(measured, "cost_nano_usd")
    missing = int(np.isnan(cost).sum())
    basis = f"token price {price.name} {words.rates(price)} ({words.provenance(price)})"
    if missing:
        basis += f"; {missing} of {cost.size} requests without a known cost"
    return {
        "usd": _sum_usd(cost),
        "usd_at_least": _sum_usd(cost[~np.isnan(cost)]),
        "wasted_usd": _sum_usd(cost[~ok(measured)], none_is_zero=True),
        "warmup_usd": _sum_usd(column(every[flag(every, "warmup")], "cost_nano_usd"), none_is_zero=True),
        **_cached(price, measured),
        "basis": basis,
    }


def _sum_usd(nano_usd: Sample, *, none_is_zero: bool = False) -> float | None:
    """The sum in USD; None when one of them is unknown, or when there is none at all to know."""
    if np.isnan(nano_usd).any() or not (nano_usd.size or none_is_zero):
        return None
    # Whole numbers of nano-USD, added as such: a float would lose the cents of a large sum.
    return sum(map(int, nano_usd)) / NANO_PER_USD


def _cached(price: Price, measured: pd.DataFrame) -> dict[str, float | None]:
    """What a million prompt tokens cost after caching, beside the list price."""
    listed, known = price.input_usd_per_mtok, measured[column(measured, "prompt_tokens") > 0]
    if listed is None or price.cached_input_usd_per_mtok is None or known.empty:
        return {"usd_per_mtok_input_list": listed}
    only_prompts = replace(
        price, output_usd_per_mtok=None, reasoning_usd_per_mtok=None, usd_per_request=None,
        audio_output_usd_per_mtok=None, audio_usd_per_s=None, steps=(),
    )  # fmt: skip
    spent = _sum_usd(column(priced(known, only_prompts, 0), "cost_nano_usd"))
    tokens = float(column(known, "prompt_tokens").sum())
    return {
        "usd_per_mtok_input_list": listed,
        "usd_per_mtok_input_effective": pricing.usd_per_mtok(spent, tokens),
    }


def _by_the_hour(
    price: Price,
    terms: Terms,
    every: pd.DataFrame,
    measured: pd.DataFrame,
    window_s: float | None,
    seen: int | None,
) -> dict[str, Any]:
    spent = pricing.hours_usd(price, window_s, seen)
    return {
        "usd": spent,
        "usd_at_least": spent,
        "wasted_usd": _wasted(spent, measured),
        "warmup_usd": pricing.hours_usd(price, _warmup_s(every, measured), seen),
        "devices": (seen or 1) if price.units is None else price.units,
        "duty_cycle": terms.duty_cycle,
        "basis": _hour_words(price, terms, window_s, seen),
    }


def _wasted(spent: float | None, measured: pd.DataFrame) -> float | None:
    """The share of output that belonged to requests that failed, at what the hardware cost."""
    failed, output = ~ok(measured), column(measured, "output_tokens")
    if not failed.any() or spent is None:
        return None if spent is None else 0.0
    made = float(np.nansum(output))
    return spent * float(np.nansum(output[failed])) / made if made else spent


def _warmup_s(every: pd.DataFrame, measured: pd.DataFrame) -> float | None:
    if measured.empty:
        return None
    first = column(every, "planned_ns").min()
    return float((column(measured, "planned_ns").min() - first) / NS_PER_S)


def _hour_words(price: Price, terms: Terms, window_s: float | None, seen: int | None) -> str:
    rate = f"hour price {price.name} {usd(price.usd_per_hour)}/h"
    if price.units is None:
        count = (
            f"{seen} device{'s' * (seen > 1)} seen at work"
            if seen
            else "1 device (assumed: none seen at work)"
        )
        rate += f" × {count}"
    length = "unknown time: no request ended" if window_s is None else f"{number(window_s)} s"
    return f"{rate} × {length} ({words.provenance(price)}); duty cycle {terms.duty_cycle:.0%}"


def _per_mtok(
    spent: float | None, duty_cycle: float, terms: Terms, measured: pd.DataFrame, remarks: list[str]
) -> dict[str, float | None]:
    """The same money over each denominator; hardware that is idle part of the time is paid for then too."""
    paid = None if spent is None else spent / duty_cycle
    answered = measured[ok(measured)]
    prompt, output = _total(answered, "prompt_tokens"), _total(answered, "output_tokens")
    both = None if prompt is None or output is None else prompt + output
    weighted = pricing.weighted_tokens(prompt, output, terms.input_weight)
    return {
        "usd_per_mtok_output": pricing.usd_per_mtok(paid, output),
        "usd_per_mtok_blended": pricing.usd_per_mtok(paid, both),
        "usd_per_mtok_weighted": pricing.usd_per_mtok(paid, weighted),
        "usd_per_mtok_output_at_slo": _at_slo(paid, terms, answered, remarks),
    }


def _at_slo(paid: float | None, terms: Terms, answered: pd.DataFrame, remarks: list[str]) -> float | None:
    """All the money over the output tokens of the requests that kept the SLO."""
    if not terms.slo:
        return None
    good = answered[met_slo(answered, terms.slo)]
    limits = ", ".join(f"{name} ≤ {limit:g}" for name, limit in terms.slo.items())
    remarks.append(f"SLO {limits}: kept by {len(good):,} of {len(answered):,} answers")
    return pricing.usd_per_mtok(paid, _total(good, "output_tokens"))


def _total(answered: pd.DataFrame, name: str) -> float | None:
    """The sum of what is known; None when nothing is."""
    values = column(answered, name)
    return None if np.isnan(values).all() else float(np.nansum(values))


def _energy(terms: Terms, joule: float | None, remarks: list[str]) -> dict[str, float | None]:
    """Energy in money and carbon, where a tariff or a grid intensity was given and power was measured."""
    if terms.usd_per_kwh is None and terms.g_co2e_per_kwh is None:
        return {}
    if joule is None:
        remarks.append("a tariff or grid intensity without measured power gives no energy cost")
    return {"energy_usd": pricing.energy_usd(joule, terms), "co2e_kg": pricing.kg_co2e(joule, terms)}
