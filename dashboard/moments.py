"""Times as pages write them: UTC, to the minute; and how long ago."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from loadlab.core.units import NS_PER_S

DAY_S = 86_400.0


def minute(at_ns: float | None) -> str:
    """ "2026-11-21 09:15", a dash when unknown."""
    return "–" if _unknown(at_ns) else _utc(at_ns).strftime("%Y-%m-%d %H:%M")


def day(at_ns: float) -> str:
    """ "2026-11-21"."""
    return _utc(at_ns).strftime("%Y-%m-%d")


def month_start_ns() -> int:
    """When this month began (UTC)."""
    now = datetime.now(UTC)
    return int(datetime(now.year, now.month, 1, tzinfo=UTC).timestamp()) * NS_PER_S


def days_ago_ns(days: float) -> int:
    """So many days before now."""
    return time.time_ns() - round(days * DAY_S * NS_PER_S)


def ago(at_ns: float | None) -> str:
    """ "5 min ago", "3 h ago", "12 days ago"."""
    if _unknown(at_ns):
        return "–"
    seconds = max(0.0, time.time() - float(at_ns or 0) / NS_PER_S)
    for limit, length, unit in ((5400, 60, "min"), (172_800, 3600, "h"), (math.inf, DAY_S, "days")):
        if seconds < limit:
            return f"{seconds / length:.0f} {unit} ago"
    raise AssertionError("the last limit is infinite")


def _unknown(at_ns: float | None) -> bool:
    return at_ns is None or math.isnan(at_ns)


def _utc(at_ns: float | None) -> datetime:
    return datetime.fromtimestamp(float(at_ns or 0) / NS_PER_S, UTC)
