"""Where the money went: runs in money, with what was wasted, by token class, and at the list's own rates.

Knows the ledger's rows. Exact or absent, as there: what cannot be told apart is one class of that name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from loadlab import pricing
from loadlab.analysis.ledger import each_run
from loadlab.core.money import Price
from loadlab.core.units import NS_PER_S
from loadlab.pricing.costs import NANO_PER_USD

CLASSES = (
    "prompt",
    "cached prompt",
    "cache write",
    "output",
    "reasoning",
    "hardware hours",
    "not told apart",
)
_MTOK = 1e6
_AGREES = 0.01
_NUMBERS = ("usd", "usd_at_least", "usd_with_idle_hours", "wasted_usd", "warmup_usd", "list_usd")
COLUMNS = (
    "run", "started_at_ns", "target", "model", "scenario", "label", "requests", "failed", "prompt_tokens",
    "output_tokens", "uncounted", *_NUMBERS, *CLASSES, "price",
)  # fmt: skip


def spending(store: Any, since_ns: int = 0) -> pd.DataFrame:
    """One row per run begun since then (UTC), newest first, with the columns of `COLUMNS`; money in USD.

    `list_usd`: what the successful tokens cost at the bare rates, without failures, caching or idle hours.
    `store` is what `loadlab.store.open` returns.
    """
    rows = [{name: _plain(row, name) for name in COLUMNS} for row in each_run(store, since_ns)]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype(dict.fromkeys((*_NUMBERS, *CLASSES), np.float64))


def _plain(row: dict[str, Any], name: str) -> Any:
    if name in CLASSES:
        return classes(row["price"], row["used"], row["usd"]).get(name, np.nan)
    if name == "warmup_usd":
        return _warmup(row["price"], row["used"], row["usd"])
    if name == "list_usd":
        return _at_list(row)
    return row[name]


def classes(price: Price | None, used: pd.DataFrame, usd: float | None) -> dict[str, float]:
    """The cost by class; what a price with steps or fees makes of tokens is not told apart."""
    if price is None or usd is None:
        return {}
    if price.kind == "hour":
        return {"hardware hours": usd}
    found = _by_rates(price, used)
    if abs(sum(found.values()) - usd) > _AGREES * max(usd, 1e-9):
        return {"not told apart": usd}
    return {name: value for name, value in found.items() if value}


def _by_rates(price: Price, used: pd.DataFrame) -> dict[str, float]:
    prompt, output, cached, written, reasoned = (
        _sum(used[f"{name}_tokens"]) for name in ("prompt", "output", "cached", "cache_write", "reasoning")
    )
    first, last = price.input_usd_per_mtok or 0.0, price.output_usd_per_mtok or 0.0
    rates = {
        "prompt": (prompt - cached - written, first),
        "cached prompt": (cached, _or(price.cached_input_usd_per_mtok, first)),
        "cache write": (written, _or(price.cache_write_usd_per_mtok, first)),
        "output": (output - reasoned, last),
        "reasoning": (reasoned, _or(price.reasoning_usd_per_mtok, last)),
    }
    return {name: tokens * rate / _MTOK for name, (tokens, rate) in rates.items()}


def _or(rate: float | None, otherwise: float) -> float:
    return otherwise if rate is None else rate


def _sum(cells: Iterable[Any]) -> float:
    return float(sum(cell for cell in cells if not pd.isna(cell)))


def _warmup(price: Price | None, used: pd.DataFrame, usd: float | None) -> float | None:
    """What the warm-up cost: its requests, or the hours until the first measured one was due."""
    if price is None or usd is None:
        return None
    warm = used[used["warmup"].astype(bool)]
    if price.kind == "token":
        return _sum(warm["cost_nano_usd"]) / NANO_PER_USD
    hours = sum(_warmup_s(level) for _, level in used.groupby("level"))
    whole = sum(_level_s(level) for _, level in used.groupby("level"))
    return usd * hours / whole if whole else None


def _warmup_s(level: pd.DataFrame) -> float:
    measured = level[~level["warmup"].astype(bool)]
    first = min(level["first_ns"])
    until = min(measured["first_ns"]) if len(measured) else max(_known(level["last_ns"]), default=first)
    return float(until - first) / NS_PER_S


def _level_s(level: pd.DataFrame) -> float:
    return (
        float(max(_known(level["last_ns"]), default=min(level["first_ns"])) - min(level["first_ns"]))
        / NS_PER_S
    )


def _known(cells: Iterable[Any]) -> list[Any]:
    return [cell for cell in cells if not pd.isna(cell)]


def _at_list(row: dict[str, Any]) -> float | None:
    price: Price | None = row["price"]
    if price is None or row["usd"] is None:
        return None
    if price.kind == "hour":
        return float(row["usd"])
    rates = (price.input_usd_per_mtok, price.output_usd_per_mtok)
    if None in rates:
        return None
    tokens = (row["prompt_tokens"], row["output_tokens"])
    return float(sum(n * (rate or 0.0) for n, rate in zip(tokens, rates, strict=True))) / _MTOK


def added(rows: pd.DataFrame, by: str) -> pd.DataFrame:
    """The runs added up by a column: counts, tokens and money; a sum with an unknown part is unknown.

    `unpriced` counts the runs without a cost. `usd_per_mtok_output` has idle hours in it, as in a summary.
    """
    found = [{by: key, **_total(group)} for key, group in rows.groupby(by, sort=False)]
    columns = [by, *_total(rows.head(0))]
    return pd.DataFrame(found, columns=columns).sort_values(
        "usd_at_least", ascending=False, ignore_index=True
    )


def _total(rows: pd.DataFrame) -> dict[str, Any]:
    counts = {
        name: int(rows[name].sum()) for name in ("requests", "failed", "prompt_tokens", "output_tokens")
    }
    money = {name: _whole(rows[name]) for name in _NUMBERS if name != "usd_at_least"}
    known = rows["usd_at_least"].dropna()
    paid = (
        None
        if np.isnan(money["usd_with_idle_hours"]) or rows["uncounted"].sum()
        else money["usd_with_idle_hours"]
    )
    return {
        "runs": len(rows),
        "unpriced": int(rows["usd"].isna().sum()),
        **counts,
        **money,
        "usd_at_least": float(known.sum()) if len(known) else np.nan,
        "usd_per_mtok_output": pricing.usd_per_mtok(paid, counts["output_tokens"]),
    }


def _whole(values: pd.Series[float]) -> float:
    """The sum, NaN as soon as one is unknown, or of none at all."""
    return float(values.sum()) if len(values) and values.notna().all() else np.nan


def total(rows: pd.DataFrame) -> dict[str, Any]:
    """All runs added up, as `added` does."""
    return _total(rows)
