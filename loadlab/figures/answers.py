"""The sentences that stand on top of pages and reports, from measured levels only. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from loadlab.figures.axes import axis
from loadlab.figures.marks import COST
from loadlab.figures.slo import Limit, failures

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Held:
    """How far a run holds its limits: the highest load of an unbroken row of levels that do, lightest first.

    `level` is None when the lightest already fails. `beyond` is the level that broke the row, `reasons` why.
    """

    level: Row | None
    beyond: Row | None
    reasons: tuple[str, ...]

    def spare(self, limits: Sequence[Limit]) -> float | None:
        """How far the level is from the limit it is nearest to, in percent of that limit; None without."""
        if self.level is None:
            return None
        values = ((limit, self.level.get(limit.column)) for limit in limits)
        shares = [_spare(limit, float(value)) for limit, value in values if value is not None]
        return min(shares, default=None)

    @property
    def headroom(self) -> str:
        """What the next measured load did, in words."""
        if self.beyond is None:
            return "the highest load measured"
        return f"{self.beyond['offered']}: {', '.join(self.reasons)}"


def _spare(limit: Limit, value: float) -> float:
    below = 100 * (1 - value / limit.value)
    return -below if limit.axis.better == "higher" else below


def held(curve: pd.DataFrame, limits: Sequence[Limit]) -> Held:
    """Walks up the levels of a curve until one misses a limit."""
    best: Row | None = None
    for level in by_load(curve):
        if reasons := failures(level, limits):
            return Held(best, level, tuple(reasons))
        best = level
    return Held(best, None, ())


def by_load(curve: pd.DataFrame) -> list[Row]:
    """The levels of a curve, lightest first."""
    ordered = curve.sort_values(["users", "rate"], na_position="first")
    return [{str(key): row[key] for key in row} for row in ordered.to_dict("records")]


def answer(subject: str, curve: pd.DataFrame, limits: Sequence[Limit]) -> str:
    """One sentence: up to which load the subject holds the limits, how fast and at what price."""
    promise = " and ".join(limit.words for limit in limits)
    if curve.empty:
        return f"{subject} has no measured level yet."
    if not limits:
        return f"{subject}: {len(curve)} measured levels. Set an SLO to see which load it holds."
    found = held(curve, limits)
    if found.level is None:
        return f"{subject} does not hold {promise} at any measured load. At {found.headroom}."
    text = f"{subject} holds {promise} up to {found.level['offered']}, with {_yield(found.level)}"
    text += f". At {found.headroom}." if found.beyond else f": {found.headroom}."
    return text + (" The measurement is SUSPECT." if found.level["verdict"] == "SUSPECT" else "")


def _yield(level: Row) -> str:
    speed = axis("output_tokens_per_s").text(level["output_tokens_per_s"])
    if pd.isna(level[COST]):
        return f"{speed}, unpriced"
    return f"{speed} at {axis(COST).text(level[COST])} output"


def figure_words(curve_name: str, curve: pd.DataFrame, x: str, y: str) -> str:
    """What a blind reader is told of a curve: its span on both axes."""
    known = curve.dropna(subset=[x, y])
    if known.empty:
        return f"{curve_name}: nothing to draw."
    spans = [
        f"{words.label} {words.text(known[words.column].min())} to {words.text(known[words.column].max())}"
        for words in (axis(x), axis(y))
    ]
    return f"{curve_name}: {len(known)} levels, {', '.join(spans)}."
