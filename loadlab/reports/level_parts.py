"""Levels, percentiles and where numbers come from, as parts: what every report of runs says alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from loadlab.analysis import LevelSummary, Summary
from loadlab.analysis.percentiles import LEVELS, wanted
from loadlab.core.metrics import METRICS
from loadlab.core.units import NS_PER_S
from loadlab.figures.answers import by_load
from loadlab.figures.axes import STATISTICS, axis, quantity
from loadlab.figures.marks import COST
from loadlab.figures.parts import Cell, Column, Paragraph, Part, Table, verdict
from loadlab.figures.slo import Limit, failures
from loadlab.reports.csv import table_csv

_MEASURED = (
    ("TTFT p95", "ttft_ms_p95", "Time to first token, 95th percentile"),
    ("ITL p95", "itl_ms_p95", "Inter-token latency, 95th percentile"),
    ("Per user", "interactivity_tok_s", "The pace one user sees: 1000 / median time per output token"),
    ("Output", "output_tokens_per_s", "Output tokens per second, all users together"),
    ("$/Mtok output", COST, "All cost over output tokens"),
    ("Errors", "error_rate", "Failed of sent requests"),
)


def levels_table(curves: Mapping[str, pd.DataFrame], limits: Sequence[Limit] = ()) -> Table:
    """Every measured level, lightest first; of several runs, with the run in front."""
    named = len(curves) > 1
    columns = [
        *([Column("Run", number=False)] if named else []),
        Column("Load", number=False),
        Column("n", help="Successful requests measured"),
        *(Column(head, help=words) for head, _, words in _MEASURED),
        *([Column("SLO", number=False)] if limits else []),
        Column("Verdict", number=False),
    ]
    rows: list[list[Cell]] = [
        [*([name] if named else []), *_level_cells(level, limits)]
        for name, curve in curves.items()
        for level in by_load(curve)
    ]
    frames = [curve.assign(run=name) for name, curve in curves.items()]
    return Table("Every measured level", columns, rows, table_csv(pd.concat(frames)) if frames else "")


def _level_cells(level: Mapping[str, Any], limits: Sequence[Limit]) -> list[Cell]:
    judged = [("misses" if failures(level, limits) else "holds")] if limits else []
    numbers = [axis(column).text(level.get(column)).removesuffix("/Mtok") for _, column, _ in _MEASURED]
    return [level["offered"], f"{level['n']:,}", *numbers, *judged, verdict(level["verdict"])]


def percentiles(level: LevelSummary) -> list[Part]:
    """Each metric of a level with its n; a percentile with too little beyond it is marked and explained."""
    known = [(METRICS[name], stats) for name, stats in level.metrics.items() if stats["n"]]
    if not level.requests["ok"]:
        return [Paragraph.of(f"No request succeeded at {level.label}, so there is no latency to show.")]
    rows: list[list[Cell]] = [
        [metric.label, f"{stats['n']:,}", *(_cell(stats, name, metric.unit) for name in STATISTICS)]
        for metric, stats in known
    ]
    columns = [Column("Metric", number=False), Column("n"), *(Column(name) for name in STATISTICS)]
    table = Table(f"Percentiles at {level.label}", columns, rows)
    few = any("†" in str(cell) for row in rows for cell in row)
    note = "† fewer than ten samples lie beyond this percentile: read it with care."
    return [table, *([Paragraph.of(note, kind="note")] if few else [])]


def _cell(stats: Mapping[str, Any], name: str, unit: str) -> str:
    few = name in LEVELS and stats["n"] < wanted(LEVELS[name])
    return quantity(stats[name], unit) + (" †" if few else "")


def footnote(summaries: Iterable[Summary], environments: Iterable[Mapping[str, Any]]) -> str:
    """What the numbers are of: runs, window, n, warm-up, versions, where tokens and prices come from."""
    told = list(summaries)
    counted = sum(level.requests["ok"] for summary in told for level in summary.levels)
    warmup = sum(level.requests["warmup"] for summary in told for level in summary.levels)
    sources = sorted({name for summary in told for level in summary.levels for name in level.token_counts})
    prices = sorted({_price(summary) for summary in told})
    versions = sorted({str(given.get("loadlab", "")) for given in environments} - {""})
    began = [utc(summary.run["started_at_ns"]) for summary in told]
    return " · ".join(
        part
        for part in (
            ", ".join(summary.run["id"] for summary in told),
            f"began {min(began)}" + (f" to {max(began)}" if len(set(began)) > 1 else "") + " UTC",
            f"n = {counted:,} answers",
            f"{warmup:,} of the warm-up left out" if warmup else "no warm-up",
            f"token counts: {', '.join(sources)}" if sources else "",
            f"price: {'; '.join(prices)}",
            f"loadlab {', '.join(versions)}" if versions else "",
        )
        if part
    )


def _price(summary: Summary) -> str:
    price = summary.spec.price
    return f"{price.name} as of {price.as_of}" if price else "unpriced"


def utc(at_ns: int | None) -> str:
    """A UTC epoch time to the second; "" when unknown."""
    return "" if at_ns is None else f"{datetime.fromtimestamp(at_ns // NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
