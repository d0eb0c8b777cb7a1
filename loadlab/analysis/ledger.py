"""What runs cost, added up: by target, model, scenario, … Every request counts, warm-up and failures too.

Exact or absent here as well: a group in which something is unpriced has no `usd`, only `usd_at_least`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from loadlab import pricing
from loadlab.analysis.cost import devices_at_work
from loadlab.analysis.nouns import Stored
from loadlab.analysis.repricing import priced
from loadlab.analysis.samples import column
from loadlab.core.errors import UnknownNameError
from loadlab.core.money import Price
from loadlab.core.units import NS_PER_S
from loadlab.pricing.costs import NANO_PER_USD

GROUPS = ("target", "model", "scenario", "label", "dialect", "url", "run")
_KEYS = {"run": "id"}
_PARTS = ("usd", "usd_with_idle_hours", "usd_at_least", "wasted_usd")
SUMS = ("runs", "requests", "failed", "prompt_tokens", "output_tokens")
MONEY = ("usd", "usd_at_least", "wasted_usd", "usd_per_mtok_output")


def priced_at(stored: Any, terms: Any) -> Any:
    """The run as if `terms`, a pricing of the store, had been in force from the start."""
    spec = replace(stored.spec, terms=terms.terms)
    return replace(stored, price=terms.price, unpriced=terms.unpriced, spec=spec)


def at_pricing(stored: Any, requests: pd.DataFrame, terms: Any) -> tuple[Stored, pd.DataFrame]:
    """The run and its requests as if `terms` had been in force from the start."""
    now = priced_at(stored, terms)
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
    rows = each_run(store, since_ns)
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in by), []).append(row)
    found = [{**dict(zip(by, key, strict=True)), **_added(of)} for key, of in sorted(groups.items())]
    return pd.DataFrame(found, columns=[*by, *SUMS, *MONEY], dtype=object)


def each_run(store: Any, since_ns: int = 0) -> list[dict[str, Any]]:
    """One row per run begun since then (UTC), newest first: its columns, sums and money.

    With `started_at_ns`, its price in force and `used`, what `store.spent` has of it at that price.
    """
    spent, repriced = store.spent(since_ns), set(store.repriced())
    used, nothing = dict(iter(spent.groupby("run_id"))), spent.head(0)
    runs = store.runs(since_ns=since_ns).to_dict("records")
    return [_run(store, run, used.get(run["id"], nothing), repriced) for run in runs]


def _run(store: Any, run: dict[Any, Any], used: pd.DataFrame, repriced: set[str]) -> dict[str, Any]:
    price = Price.from_dict(run["price"]) if isinstance(run["price"], dict) else None
    rows = None
    if run["id"] in repriced and (newest := store.pricings(run["id"])[-1].price) != price:
        rows = priced(store.requests(run["id"]), newest, int(run["started_at_ns"]))
        price, used = newest, _summed(rows)
    answered = used[used["ok"].astype(bool)]
    return {
        **{name: run[_KEYS.get(name, name)] for name in GROUPS},
        "started_at_ns": run["started_at_ns"],
        "price": price,
        "used": used,
        "requests": int(used["requests"].sum()),
        "failed": int(used["requests"].sum() - answered["requests"].sum()),
        "prompt_tokens": int(answered["prompt_tokens"].fillna(0).sum()),
        "output_tokens": int(answered["output_tokens"].fillna(0).sum()),
        "uncounted": int(answered["requests"].sum() - answered["known_outputs"].sum()),
        **_money(store, run["id"], price, used, rows),
    }


def _money(
    store: Any, run_id: str, price: Price | None, used: pd.DataFrame, rows: pd.DataFrame | None
) -> dict[str, Any]:
    """What a run cost; `rows` are its requests where they were priced anew."""
    hourly = price is not None and price.kind == "hour"
    if not hourly and _known(used):
        return _by_use(price, used)
    if not store.run(run_id).spec.routes:
        return _by_hours(store, run_id, price, used) if price and hourly else _by_use(price, used)
    return _routed(store, run_id, price, store.requests(run_id) if rows is None else rows)


def _routed(store: Any, run_id: str, price: Price | None, rows: pd.DataFrame) -> dict[str, Any]:
    """The target and every route at its own price, as in the run's summary."""
    prices = [price, *(route.price for route in store.run(run_id).spec.routes)]
    # Several prices per device: whose the devices seen at work are is not known.
    unclear = sum(one is not None and one.kind == "hour" and one.units is None for one in prices) > 1
    every, parts = _summed(rows), []
    for at, one in enumerate(prices):
        own = rows[column(rows, "route") == at]
        if one is None or one.kind == "token":
            parts.append(_by_use(one, _summed(own)) if len(own) else dict.fromkeys(_PARTS, 0.0))
        elif unclear and one.units is None and devices_at_work(store.readings(run_id)):
            parts.append(dict.fromkeys(_PARTS))
        else:
            parts.append(_by_hours(store, run_id, one, every))
    return {
        **{name: _whole(part[name] for part in parts) for name in _PARTS},
        "usd_at_least": _least(parts),
    }


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    """Requests added up as `store.spent` does."""
    grouped = rows.assign(ok=rows["error_kind"].isna()).groupby(["level", "warmup", "ok"], as_index=False)
    return grouped.agg(
        requests=("seq", "size"),
        prompt_tokens=("prompt_tokens", "sum"),
        output_tokens=("output_tokens", "sum"),
        known_outputs=("output_tokens", "count"),
        cached_tokens=("cached_tokens", "sum"),
        cache_write_tokens=("cache_write_tokens", "sum"),
        reasoning_tokens=("reasoning_tokens", "sum"),
        cost_nano_usd=("cost_nano_usd", "sum"),
        known_costs=("cost_nano_usd", "count"),
        first_ns=("planned_ns", "min"),
        last_ns=("done_ns", "max"),
    )


def _by_use(price: Price | None, used: pd.DataFrame) -> dict[str, Any]:
    if price is None:
        return dict.fromkeys(_PARTS)
    failed = used[~used["ok"].astype(bool)]
    at_least = _nano(used) / NANO_PER_USD
    spent = at_least if _known(used) else None
    return {
        "usd": spent,
        "usd_with_idle_hours": spent,
        "usd_at_least": at_least,
        "wasted_usd": _nano(failed) / NANO_PER_USD if _known(failed) else None,
    }


def _nano(used: pd.DataFrame) -> int:
    return sum(int(cost) for cost in used["cost_nano_usd"] if not pd.isna(cost))


def _known(used: pd.DataFrame) -> bool:
    return bool((used["known_costs"] == used["requests"]).all())


def _by_hours(store: Any, run_id: str, price: Price, used: pd.DataFrame) -> dict[str, Any]:
    """Each level from its first request to its last, warm-up included; waste is not told apart."""
    readings = store.readings(run_id) if price.units is None else None
    spent = [_level_hours(price, readings, level) for _, level in used.groupby("level")]
    known = [usd for usd in spent if usd is not None]
    total = sum(known) if known else None
    failed = not used["ok"].astype(bool).all()
    usd = total if len(known) == len(spent) else None
    return {
        "usd": usd,
        "usd_with_idle_hours": None if usd is None else usd / store.pricings(run_id)[-1].terms.duty_cycle,
        "usd_at_least": total,
        "wasted_usd": None if failed else 0.0,
    }


def _level_hours(price: Price, readings: pd.DataFrame | None, level: pd.DataFrame) -> float | None:
    ends = [int(end) for end in level["last_ns"] if not pd.isna(end)]
    if not ends:
        return None
    start, end = int(level["first_ns"].min()), max(ends)
    seen = None
    if readings is not None:
        at = column(readings, "at_ns")
        seen = devices_at_work(readings[(at >= start) & (at <= end)])
    return pricing.hours_usd(price, (end - start) / NS_PER_S, seen)


def _added(rows: list[dict[str, Any]]) -> dict[str, Any]:
    sums = {name: sum(row[name] for row in rows) for name in SUMS[1:]}
    paid = _whole(row["usd_with_idle_hours"] for row in rows)
    # An answer of unknown length was paid for too: by the others' tokens alone, a Mtok would look dear.
    counted = not any(row["uncounted"] for row in rows)
    return {
        "runs": len(rows),
        **sums,
        "usd": _whole(row["usd"] for row in rows),
        "usd_at_least": _least(rows),
        "wasted_usd": _whole(row["wasted_usd"] for row in rows),
        "usd_per_mtok_output": pricing.usd_per_mtok(paid, sums["output_tokens"]) if counted else None,
    }


def _least(rows: list[dict[str, Any]]) -> float | None:
    known = [row["usd_at_least"] for row in rows if row["usd_at_least"] is not None]
    return sum(known) if known else None


def _whole(values: Any) -> float | None:
    """The sum, None as soon as one of them is."""
    every = list(values)
    return None if any(value is None for value in every) else sum(every)
