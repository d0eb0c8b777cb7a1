"""A service level objective as figures and tables need it: a column and the value it must not cross.

Knows how limits are written and whether a level meets them; refuses to judge a run (that is a gate).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loadlab.core import units
from loadlab.core.errors import UsageError
from loadlab.figures.axes import Axis, axis

MAX_ERROR_RATE = 1.0  # percent: latency of the few that survived is no latency to promise


@dataclass(frozen=True, slots=True)
class Limit:
    """`column` must stay at or below `value`, or at or above it where higher is better."""

    column: str
    value: float

    @property
    def axis(self) -> Axis:
        """The words of the limited column."""
        return axis(self.column)

    @property
    def words(self) -> str:
        """ "TTFT p95 ≤ 500 ms"."""
        sign = "≥" if self.axis.better == "higher" else "≤"
        return f"{self.axis.brief} {sign} {self.axis.text(self.value)}"

    def met(self, value: float | None) -> bool:
        """Whether a measured value keeps the limit. An unknown value does not."""
        if value is None or math.isnan(value):
            return False
        return value >= self.value if self.axis.better == "higher" else value <= self.value


DEFAULT = (Limit("ttft_ms_p95", 500.0),)


def parse(text: str) -> tuple[Limit, ...]:
    """Limits in "ttft_ms_p95:500,itl_ms_p95:60"; a bare number limits ttft_ms_p95.

    Raises UsageError (UnknownNameError for a column) with the part that is not understood.
    """
    return tuple(_limit(part.strip()) for part in text.split(",") if part.strip())


def _limit(part: str) -> Limit:
    column, _, number = part.rpartition(":")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise UsageError(f"SLO '{part}' is not understood; write it like ttft_ms_p95:500, value above zero.")
    limit = Limit(column or "ttft_ms_p95", value)
    _ = limit.axis
    return limit


def write(limits: Iterable[Limit]) -> str:
    """The inverse of `parse`."""
    return ",".join(f"{limit.column}:{limit.value:g}" for limit in limits)


def failures(level: Mapping[str, Any], limits: Iterable[Limit]) -> list[str]:
    """Why a level of the curve does not hold the limits, one phrase each; empty when it does."""
    reasons = [
        _miss(limit, level.get(limit.column)) for limit in limits if not limit.met(level.get(limit.column))
    ]
    if (rate := level.get("error_rate") or 0.0) > MAX_ERROR_RATE:
        reasons.append(f"{units.number(rate)} % errors")
    if level.get("verdict") == "INVALID":
        reasons.append("measurement INVALID")
    return reasons


def _miss(limit: Limit, value: float | None) -> str:
    if value is None or math.isnan(value):
        return f"no {limit.axis.brief} measured"
    return f"{limit.axis.brief} {limit.axis.text(value)}"
