"""Measured levels as table rows: the same columns wherever levels are listed. Knows the curve, no layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from dash import html

from loadlab.core.units import number
from loadlab.figures.answers import by_load, held
from loadlab.figures.axes import axis
from loadlab.figures.marks import COST
from loadlab.figures.slo import Limit, failures

from .components import Column, verdict

OFFERED = Column("Load", "offered", number=False)
MEASURED = (
    Column("n", "n", help="Successful requests measured"),
    Column("TTFT p95", "ttft_ms_p95", help="Time to first token, 95th percentile"),
    Column("ITL p95", "itl_ms_p95", help="Inter-token latency, 95th percentile"),
    Column(
        "Per user", "interactivity_tok_s", help="The pace one user sees: 1000 / median time per output token"
    ),
    Column("Output", "output_tokens_per_s", help="Output tokens per second, all users together"),
    Column("$/Mtok output", COST, help="All cost over output tokens"),
    Column("Errors", "error_rate", help="Failed of sent requests"),
)
SLO = Column("SLO", "slo", number=False)
VERDICT = Column("Verdict", "verdict", number=False)
_MEASURED_COLUMNS = tuple(column.key for column in MEASURED if column.key != "n")


def level_rows(curve: pd.DataFrame, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """One row per level, lightest first."""
    return [_row(level, limits) for level in by_load(curve)]


def _row(level: Mapping[str, Any], limits: Sequence[Limit]) -> dict[str, Any]:
    return {
        **numbers(level),
        "level": level["level"],
        "offered": level["offered"],
        "n": f"{level['n']:,}",
        "slo": ("misses" if failures(level, limits) else "holds") if limits else "–",
        "verdict": verdict(level["verdict"]),
    }


def numbers(level: Mapping[str, Any]) -> dict[str, str]:
    """The measured numbers of a level as text with units; "–" where unknown."""
    texts = {column: axis(column).text(level.get(column)) for column in _MEASURED_COLUMNS}
    return {**texts, COST: per_mtok(level.get(COST))}


def per_mtok(usd_per_mtok: float | None) -> str:
    """A cost per million tokens without its unit, for places that name it; "–" when unpriced."""
    return axis(COST).text(usd_per_mtok).removesuffix("/Mtok")


def held_row(curve: pd.DataFrame, limits: Sequence[Limit]) -> dict[str, Any]:
    """How far a run holds its limits: the level, its numbers, and what the next measured load did."""
    found = held(curve, limits)
    holds = [
        html.Div(found.level["offered"] if found.level else "no measured load"),
        html.Div(found.headroom, className="below"),
    ]
    spare = found.spare(limits)
    room = "–" if spare is None else f"{number(spare)} %"
    return {**numbers(found.level or {}), "holds": holds, "spare": room}
