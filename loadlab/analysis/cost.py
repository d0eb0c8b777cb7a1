"""What a level cost and what that bought. Knows rows, a price and terms; not where a price comes from.

True to the cent or absent: one request of unknown cost makes the sum unknown, and what is known is given
apart as `usd_at_least`. Denominators hold the tokens of successful requests; failed ones are paid for too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from loadlab import pricing
from loadlab.analysis.nouns import Stored
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.repricing import priced
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
_NO_PROMPT = (
    "output_usd_per_mtok", "reasoning_usd_per_mtok", "audio_output_usd_per_mtok", "audio_usd_per_s",
    "usd_per_request",
)  # fmt: skip
_ADDED = ("usd", "usd_with_idle_hours", "usd_at_least", "wasted_usd", "warmup_usd")
KEYS = (*_MONEY, "usd_with_idle_hours", "energy_usd", "co2e_kg", "devices", "duty_cycle", "basis", "remarks")


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
        found |= _spent(stored.price, stored.unpriced, terms, every, window_s, seen, stored.started_at_ns)
    found |= _per_mtok(found["usd_with_idle_hours"], terms, measured, remarks)
    found |= _energy(terms, joule, remarks)
    return {**found, "remarks": remarks}


def devices_at_work(readings: pd.DataFrame | None) -> int | None:
    """How many GPUs were busy at any time, of those that NVML showed; None when none was.

    A GPU that tells no utilisation (in MIG mode) counts: it is paid for, and nothing says that it idled.
    """
    if readings is None or readings.empty:
        return None
    gpus = readings[(readings["source"] == "nvml") & ~readings["device"].str.contains(".mig", regex=False)]
    told = gpus[gpus["metric"] == "utilisation_percent"]
    silent = set(gpus["device"]) - set(told["device"])
    return len(silent | set(told[told["value"] > 0]["device"])) or None


def met_slo(answered: pd.DataFrame, slo: Any) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which answers kept every limit; what is not defined for one (the pace of one token) breaks none."""
    kept = np.ones(len(answered), bool)
    for name, limit in slo.items():
        values = REQUEST_METRICS[name](answered)
        kept &= ~(values < limit) if METRICS[name].better == "higher" else ~(values > limit)
    return kept


def _spent(
    price: Price | None,
    unpriced: str,
    terms: Terms,
    every: pd.DataFrame,
    window_s: float | None,
    seen: int | None,
    started_at_ns: int,
) -> dict[str, Any]:
    """What the requests cost at one price; `started_at_ns` is the run's anchor in UTC."""
    measured = every[~flag(every, "warmup")]
    if price is None:
        return {"basis": _unpriced(unpriced)}
    if price.kind == "token":
        return _by_use(price, every, measured, started_at_ns)
    return _by_the_hour(price, terms, every, measured, window_s, seen)


def _routed(
    stored: Stored, every: pd.DataFrame, window_s: float | None, seen: int | None, remarks: list[str]
) -> dict[str, Any]:
    """The sum over the target and the routes, each at its own price; what each had is remarked."""
    spec = stored.spec
    places = [(spec.endpoint.name, stored.price, stored.unpriced)]
    places += [(route.name, route.price, route.unpriced) for route in spec.routes]
    # Several prices per device, and GPUs seen at work: whose they are is not known.
    unclear = seen is not None and sum(_per_device(price) for _, price, _ in places) > 1
    parts = []
    for at, (name, price, unpriced) in enumerate(places):
        own = every[column(every, "route") == at].assign(route=0)
        if price and unclear and _per_device(price):
            unpriced = f"{price.name} does not say how many of the {seen} devices seen at work it is for"
            price = None
        part: dict[str, Any] = dict.fromkeys(_ADDED)
        part |= _spent(price, unpriced, spec.terms, own, window_s, seen, stored.started_at_ns)
        if own.empty and (price is None or price.kind == "token"):
            part |= dict.fromkeys(_ADDED, 0.0)
        parts.append(part)
        remarks.append(f"route {name}: {len(own):,} of {len(every):,} requests, {usd(part['usd'])}")
    known = [part["usd_at_least"] for part in parts if part["usd_at_least"] is not None]
    return {
        **{name: _whole(part[name] for part in parts) for name in _ADDED},
        "usd_at_least": sum(known) if known else None,
        "duty_cycle": next((part["duty_cycle"] for part in parts if "duty_cycle" in part), None),
        "basis": " + ".join(part["basis"] for part in parts),
    }


def _per_device(price: Price | None) -> bool:
    return price is not None and price.kind == "hour" and price.units is None


def _whole(values: Iterable[float | None]) -> float | None:
    """The sum, None as soon as one of them is."""
    every = list(values)
    known = [value for value in every if value is not None]
    return sum(known) if len(known) == len(every) else None


def _unpriced(why: str) -> str:
    return why if why.startswith("unpriced") else f"unpriced: {why or 'no price was given'}"


def _by_use(price: Price, every: pd.DataFrame, measured: pd.DataFrame, started_at_ns: int) -> dict[str, Any]:
    cost = column(measured, "cost_nano_usd")
    missing = int(np.isnan(cost).sum())
    basis = f"token price {price.name} {words.rates(price)} ({words.provenance(price)})"
    if missing:
        basis += f"; {missing} of {cost.size} requests without a known cost"
    spent = _sum_usd(cost)
    return {
        "usd": spent,
        "usd_with_idle_hours": spent,
        "usd_at_least": _sum_usd(cost[~np.isnan(cost)]),
        "wasted_usd": _sum_usd(cost[~ok(measured)], none_is_zero=True),
        "warmup_usd": _sum_usd(column(every[flag(every, "warmup")], "cost_nano_usd"), none_is_zero=True),
        **_cached(price, measured, started_at_ns),
        "basis": basis,
    }


def _sum_usd(nano_usd: Sample, *, none_is_zero: bool = False) -> float | None:
    """The sum in USD; None when one of them is unknown, or when there is none at all to know."""
    if np.isnan(nano_usd).any() or not (nano_usd.size or none_is_zero):
        return None
    # Whole numbers of nano-USD, added as such: a float would lose the cents of a large sum.
    return sum(map(int, nano_usd)) / NANO_PER_USD


def _of_prompts(price: Price) -> Price:
    """The same price, of prompts alone, at any time and length."""
    steps = tuple(
        replace(step, rates={name: rate for name, rate in step.rates.items() if name not in _NO_PROMPT})
        for step in price.steps
    )
    none: dict[str, Any] = dict.fromkeys(_NO_PROMPT)
    return replace(price, **none, steps=steps)


def _cached(price: Price, measured: pd.DataFrame, started_at_ns: int) -> dict[str, float | None]:
    """What a million prompt tokens cost after caching, beside the list price."""
    listed, known = price.input_usd_per_mtok, measured[column(measured, "prompt_tokens") > 0]
    if listed is None or price.cached_input_usd_per_mtok is None or known.empty:
        return {"usd_per_mtok_input_list": listed}
    alone = priced(known, _of_prompts(price), started_at_ns)
    spent = _sum_usd(column(alone, "cost_nano_usd"))
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
        "usd_with_idle_hours": None if spent is None else spent / terms.duty_cycle,
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
    if not made:
        return spent if failed.all() else None
    return spent * float(np.nansum(output[failed])) / made


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
    paid: float | None, terms: Terms, measured: pd.DataFrame, remarks: list[str]
) -> dict[str, float | None]:
    """The same money over each denominator; hardware that is idle part of the time is paid for then too."""
    answered = measured[ok(measured)]
    prompt, output = (_total(answered, name, remarks) for name in ("prompt_tokens", "output_tokens"))
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
    unknown = [name for name in terms.slo if np.isnan(REQUEST_METRICS[name](answered)).all()]
    if len(answered) and unknown:
        remarks.append(f"SLO: no answer has a {unknown[0]}, so what it costs at the SLO is not known")
        return None
    good = answered[met_slo(answered, terms.slo)]
    limits = ", ".join(f"{name} ≤ {limit:g}" for name, limit in terms.slo.items())
    remarks.append(f"SLO {limits}: kept by {len(good):,} of {len(answered):,} answers")
    return pricing.usd_per_mtok(paid, _total(good, "output_tokens", []))


def _total(answered: pd.DataFrame, name: str, remarks: list[str]) -> float | None:
    """The sum; None as soon as one is not known, which is remarked unless none is."""
    values = column(answered, name)
    missing = int(np.isnan(values).sum())
    if not missing:
        return float(values.sum()) if len(values) else None
    if missing < len(values):
        words = name.replace("_", " ")
        remarks.append(
            f"{missing:,} of {len(values):,} answers did not report their {words}: no cost over them"
        )
    return None


def _energy(terms: Terms, joule: float | None, remarks: list[str]) -> dict[str, float | None]:
    """Energy in money and carbon, where a tariff or a grid intensity was given and power was measured."""
    if terms.usd_per_kwh is None and terms.g_co2e_per_kwh is None:
        return {}
    if joule is None:
        remarks.append("a tariff or grid intensity without measured power gives no energy cost")
    return {"energy_usd": pricing.energy_usd(joule, terms), "co2e_kg": pricing.kg_co2e(joule, terms)}
