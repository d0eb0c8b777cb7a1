"""Reading and printing quantities. Printed numbers carry three significant digits and their unit."""

from __future__ import annotations

import math
import re

from loadlab.core.errors import UsageError

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(text: str) -> float:
    """Seconds in "30s", "1m30s", "250ms" or a bare number of seconds."""
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"duration '{text}' is not understood; write it like 30s, 2m, 1m30s or 250ms.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_share(text: str | float) -> float:
    """The share in "3%", "0.03" or 0.03: 0.03. Raises UsageError."""
    percent = isinstance(text, str) and text.strip().endswith("%")
    try:
        value = float(str(text).strip().removesuffix("%")) / (100 if percent else 1)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1:
        raise UsageError(f"share '{text}' is not understood; write it like 3% or 0.03, below 100%.")
    return value


def number(value: float | None, digits: int = 3) -> str:
    """A number for people: significant digits, thousands separated, a dash when unknown."""
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def usd(value: float | None) -> str:
    """Money for people: "$0.0123", "$12.30", or "unpriced"."""
    if value is None or math.isnan(value):
        return "unpriced"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${number(value)}"
