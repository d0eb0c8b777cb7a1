"""What runs cost, added up: by target, model, scenario, … Every request counts, warm-up and failures too.

Exact or absent here as well: a group in which something is unpriced has no `usd`, only `usd_at_least`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from loadlab import pricing
from loadlab.analysis.cost import devices_at_work, priced
from loadlab.analysis.nouns import Stored
from loadlab.analysis.samples import column
from loadlab.core.errors import UnknownNameError
from loadlab.core.money import Price
from loadlab.core.units import NS_PER_S
from loadlab.pricing.costs import NANO_PER_USD

GROUPS = ("target", "model", "scenario", "label", "dialect", "url", "run")
_KEYS = {"run": "id"}
SUMS = ("runs", "requests", "failed", "prompt_tokens", "output_tokens")
MONEY = ("usd", "usd_at_least", "wasted_usd", "usd_per_mtok_output")


def at_pricing(stored: Any, requests: pd.DataFrame, terms: Any) -> tuple[Stored, pd.DataFrame]:
    """The run and its requests as if `terms`, a pricing of the store, had been in force from the start."""
    spec = replace(stored.spec, terms=terms.terms)
    now = replace(stored, price=terms.price, unpriced=terms.unpriced, spec=spec)
    if terms.price == stored.price:
        return now, requests
    return now, priced(requests, terms.price, stored.started_at_ns)


def costs(store: Any, by: Sequence[str], since_ns: int = 0) -> pd.DataFrame:
    """One row per group of runs begun since then (UTC): the columns of `by`, `SUMS` and `MONEY`.

    `store` is what `loadlab.store.open` returns. Raises UnknownNameError for a column that cannot group.
    """
    for name in by:
        if name not in GROUPS:
            raise UnknownNameError("cost group", name, GROUPS)
    runs = store.runs()
    runs = runs[runs["started_at_ns"] >= since_ns]
    used = store.spent(since_ns)
    repriced = set(store.repriced())
    rows = [_run(store, run, used[used["run_id"] == run["id"]], repriced) for run in runs.to_dict("records")]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in by), []).append(row)
    found = [{**dict(zip(by, key, strict=True)), **_added(of)} for key, of in sorted(groups.items())]
    return pd.DataFrame(found, columns=[*by, *SUMS, *MONEY], dtype=object)


def _run(store: Any, run: dict[Any, Any], used: pd.DataFrame, repriced: set[str]) -> dict[str, Any]:
    price = Price.from_dict(run["price"]) if isinstance(run["price"], dict) else None
    if run["id"] in repriced:
        newest = store.pricings(run["id"])[-1].price
        if newest != price:
            price, used = newest, _used_anew(store, run, newest)
    answered = used[used["ok"].astype(bool)]
    return {
        **{name: run[_KEYS.get(name, name)] for name in GROUPS},
        "requests": int(used["requests"].sum()),
        "failed": int(used["requests"].sum() - answered["requests"].sum()),
        "prompt_tokens": int(answered["prompt_tokens"].fillna(0).sum()),
        "output_tokens": int(answered["output_tokens"].fillna(0).sum()),
        **(
            _by_hours(store, run["id"], price, used)
            if price and price.kind == "hour"
            else _by_use(price, used)
        ),
    }


def _used_anew(store: Any, run: dict[Any, Any], price: Price | None) -> pd.DataFrame:
    """What `store.spent` gives, with the requests priced once more."""
    rows = priced(store.requests(run["id"]), price, int(run["started_at_ns"]))
    rows = rows.assign(ok=rows["error_kind"].isna(), run_id=run["id"])
    grouped = rows.groupby(["run_id", "level", "warmup", "ok"], as_index=False)
    return grouped.agg(
        requests=("seq", "size"),
        prompt_tokens=("prompt_tokens", "sum"),
        output_tokens=("output_tokens", "sum"),
        cost_nano_usd=("cost_nano_usd", "sum"),
        known_costs=("cost_nano_usd", "count"),
        first_ns=("planned_ns", "min"),
        last_ns=("done_ns", "max"),
    )


def _by_use(price: Price | None, used: pd.DataFrame) -> dict[str, Any]:
    if price is None:
        return {"usd": None, "usd_at_least": None, "wasted_usd": None}
    failed = used[~used["ok"].astype(bool)]
    at_least = _nano(used) / NANO_PER_USD
    return {
        "usd": at_least if _known(used) else None,
        "usd_at_least": at_least,
        "wasted_usd": _nano(failed) / NANO_PER_USD if _known(failed) else None,
    }


def _nano(used: pd.DataFrame) -> int:
    return sum(int(cost) for cost in used["cost_nano_usd"] if not pd.isna(cost))


def _known(used: pd.DataFrame) -> bool:
    return bool((used["known_costs"] == used["requests"]).all())


def _by_hours(store: Any, run_id: str, price: Price, used: pd.DataFrame) -> dict[str, Any]:
    """Each level from its first request to its last, warm-up included; waste is not told apart."""
    prices = [price, *(route.price for route in store.run(run_id).spec.routes)]
    readings = store.readings(run_id) if any(one and one.units is None for one in prices) else None
    spent = [_level_hours(one, readings, level) for one in prices for _, level in used.groupby("level")]
    known = [usd for usd in spent if usd is not None]
    total = sum(known) if known else None
    failed = not used["ok"].astype(bool).all()
    return {
        "usd": total if len(known) == len(spent) else None,
        "usd_at_least": total,
        "wasted_usd": None if failed else 0.0,
    }


def _level_hours(price: Price | None, readings: pd.DataFrame | None, level: pd.DataFrame) -> float | None:
    ends = [int(end) for end in level["last_ns"] if not pd.isna(end)]
    if price is None or not ends:
        return None
    start, end = int(level["first_ns"].min()), max(ends)
    seen = None
    if readings is not None:
        at = column(readings, "at_ns")
        seen = devices_at_work(readings[(at >= start) & (at <= end)])
    return pricing.hours_usd(price, (end - start) / NS_PER_S, seen)


def _added(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(row[name] for row in rows) for name in SUMS[1:]}
    known = [row["usd_at_least"] for row in rows if row["usd_at_least"] is not None]
    usd = _whole(row["usd"] for row in rows)
    return {
        "runs": len(rows),
        **sums,
        "usd": usd,
        "usd_at_least": sum(known) if known else None,
        "wasted_usd": _whole(row["wasted_usd"] for row in rows),
        "usd_per_mtok_output": pricing.usd_per_mtok(usd, sums["output_tokens"]),
    }


def _whole(values: Any) -> float | None:
    """The sum, None as soon as one of them is."""
    every = list(values)
    return None if any(value is None for value in every) else sum(every)
