"""The words of a run under way: the strip of numbers, the warning of a client at its limit, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from dash import html

from loadlab import analysis, pricing
from loadlab.analysis.generator_rules import BEHIND_S, CPU_PERCENT, STALL_MS
from loadlab.core.units import NS_PER_S, number, usd
from loadlab.figures.axes import quantity

from .components import Column, table, tiles, verdict
from .follow import Follower
from .source import Source

SHOWN = 20
_MS_PER_S = 1000.0
_NANO = 1_000_000_000
_FAILURES = (
    Column("Kind", "kind", number=False),
    Column("Failed", "n"),
    Column("Newest", "at", help="Since the run began"),
    Column("In its words", "last", number=False),
)


def strip(source: Source, run: Any, follower: Follower) -> html.Div:
    """The numbers that matter while a run lasts, in one row."""
    level = _level(source, run.id)
    share = 100 * follower.failed / follower.ended if follower.ended else None
    return tiles(
        ("State", verdict(run.state), _phase(run, level, follower)),
        ("Load", analysis.label(level) if level else "–", _place(run, level)),
        ("Elapsed", quantity(follower.clock_s, "s"), _remaining(run, level, follower)),
        ("In flight", *_in_flight(level, follower)),
        ("Requests", f"{follower.ended:,}", "ended"),
        ("Failed", f"{number(share)} %" if share is not None else "–", f"{follower.failed:,} requests"),
        ("Cost so far", *_cost(run, follower)),
    )


def progress(follower: Follower) -> str:
    """That an earlier part is still being read, where it is."""
    return f"Catching up: {follower.ended:,} requests read so far." if follower.behind else ""


def banner(follower: Follower) -> Any:
    """A warning while the load generator is at its limit: numbers then say more of it than of the server."""
    signs = [
        (follower.newest("generator", "cpu_percent"), CPU_PERCENT, "a load worker uses {} % of its core"),
        (follower.newest("generator", "hub_stall_ms"), STALL_MS, "a load worker was blocked for {} ms"),
        (follower.newest("recorder", "behind_ms"), BEHIND_S * _MS_PER_S, "the recorder is {} ms behind"),
    ]
    over = [
        words.format(number(max(values))) for values, limit, words in signs if values and max(values) > limit
    ]
    if not over:
        return None
    text = f"Client saturated: {' and '.join(over)}. Use more processes or hosts, or less load."
    return html.Div([html.Strong("✕ "), text], className="saturated")


def failures(follower: Follower) -> Any:
    """Failures by kind, the newest first."""
    if not follower.failures:
        return html.P("No request has failed.")
    newest = sorted(follower.failures.items(), key=lambda item: -item[1].at_s)[:SHOWN]
    rows = [
        {
            "kind": html.Code(kind), "n": f"{group.n:,}", "at": quantity(group.at_s, "s"),
            "last": group.last or "–",
        }
        for kind, group in newest
    ]  # fmt: skip
    return table(_FAILURES, rows, "Failures by kind, the newest first")


def _level(source: Source, run_id: str) -> dict[str, Any] | None:
    """The level that began last, with NaN as None."""
    begun = source.store.levels(run_id).dropna(subset=["started_ns"])
    if begun.empty:
        return None
    row = begun.iloc[-1].to_dict()
    known = {str(key): None if pd.isna(value) else value for key, value in row.items()}
    return {**known, "users": None if known["users"] is None else int(known["users"])}


def _place(run: Any, level: Mapping[str, Any] | None) -> str:
    return f"level {level['level'] + 1} of {len(run.spec.levels)}" if level else "none has begun"


def _phase(run: Any, level: Mapping[str, Any] | None, follower: Follower) -> str:
    if level is None:
        return "getting ready"
    if level["finished_ns"] is not None:
        return "between levels" if run.state == "running" else "over"
    since_s = follower.clock_s - level["started_ns"] / NS_PER_S
    return "warm-up" if since_s < level["warmup_s"] else "measuring"


def _remaining(run: Any, level: Mapping[str, Any] | None, follower: Follower) -> str:
    """What is left of all levels, where each has a length; else what is asked of this one."""
    lengths = [each.duration_s for each in run.spec.levels]
    if run.state != "running" or level is None:
        return ""
    if all(length is not None for length in lengths):
        since_s = follower.clock_s - level["started_ns"] / NS_PER_S
        left_s = sum(lengths[level["level"] :]) - since_s
        return f"{quantity(max(0.0, left_s), 's')} left"
    return f"of {level['requests']:,.0f} requests a level" if level["requests"] else "no end given"


def _in_flight(level: Mapping[str, Any] | None, follower: Follower) -> tuple[str, str]:
    """By the server's own page where it is read; a closed loop has one request a user at most."""
    running, waiting = follower.newest("server", "running"), follower.newest("server", "waiting")
    if running:
        return f"{sum(running) + sum(waiting):,.0f}", f"{sum(waiting):,.0f} waiting, says the server"
    if level and level["users"] is not None and level["finished_ns"] is None:
        return f"≤ {level['users']:,}", "one a user"
    return "–", "the server does not tell"


def _cost(run: Any, follower: Follower) -> tuple[str, str]:
    if run.price is None:
        return "–", "unpriced"
    if run.price.kind == "hour":
        busy = len([value for value in follower.newest("nvml", "utilisation_percent") if value > 0]) or None
        return usd(pricing.hours_usd(run.price, follower.clock_s, busy)), "by the hour"
    least = "at least, " if follower.unpriced else ""
    return usd(follower.cost_nano_usd / _NANO), f"{least}of requests that ended"
