"""The level table that text and Markdown share: its columns, their heads and how a number is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.units import number

UNKNOWN = "–"
_SIZES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the level table: `group` spans neighbours of the same words, `head` is its own."""

    group: str
    head: str
    cell: Callable[[LevelSummary], str]


def cell(value: float | None) -> str:
    """A number in at most six characters: "99,999", "1.23M", "0.0050", "4e-05"."""
    if value is None or value == 0 or 0.01 <= value < 99_999.5:
        return number(_three_digits(value))
    if value < 0.01:
        return number(value, 2) if value >= 0.001 else f"{value:.0e}"
    size, suffix = next(pair for pair in _SIZES if value >= pair[0] * 0.9995 or pair is _SIZES[-1])
    return number(value / size) + suffix


def _three_digits(value: float | None) -> float | None:
    """9.996 becomes 10.0 before its decimals are counted, or it would be written 10.00."""
    return float(f"{value:.3g}") if value and value < 1000 else value


def count(n: int) -> str:
    """A count in full while it fits into six characters."""
    return f"{n:,}" if n < 100_000 else cell(n)


def money(value: float | None) -> str:
    """USD in at most seven characters, a dash when unknown."""
    return UNKNOWN if value is None else f"${cell(value)}"


def _stat(metric: str, stat: str) -> Callable[[LevelSummary], str]:
    return lambda level: cell(level.metrics[metric][stat])


def _rate(name: str) -> Callable[[LevelSummary], str]:
    return lambda level: cell(level.rates[name])


COLUMNS = (
    Column("", "offered", lambda level: level.title),
    Column("requests", "ok", lambda level: count(level.requests["ok"])),
    Column("requests", "failed", lambda level: count(level.requests["failed"])),
    Column("TTFT ms", "p50", _stat("ttft_ms", "p50")),
    Column("TTFT ms", "p95", _stat("ttft_ms", "p95")),
    Column("TTFT ms", "p99", _stat("ttft_ms", "p99")),
    Column("ITL ms", "p50", _stat("itl_ms", "p50")),
    Column("ITL ms", "p99", _stat("itl_ms", "p99")),
    Column("E2E ms", "p95", _stat("e2e_ms", "p95")),
    Column("", "req/s", _rate("requests_per_s")),
    Column("output", "tok/s", _rate("output_tokens_per_s")),
    Column("output", "$/Mtok", lambda level: money(level.cost["usd_per_mtok_output"])),
)
