"""One run as a report: what happened, level by level and second by second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from loadlab import analysis
from loadlab.analysis import LevelSummary, Summary
from loadlab.core.metrics import METRICS
from loadlab.core.units import number
from loadlab.figures import (
    MAX_SERIES,
    Band,
    bands_of,
    ecdf,
    errors_over_time,
    lane_statistics,
    lanes,
    latency_over_time,
)  # fmt: skip
from loadlab.figures.answers import answer
from loadlab.figures.axes import axis, quantity
from loadlab.figures.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Facts,
    Heading,
    Items,
    Paragraph,
    Part,
    Table,
    verdict,
)  # fmt: skip
from loadlab.figures.slo import DEFAULT
from loadlab.reports import accuracy, as_json, cost, hardware
from loadlab.reports.csv import table_csv
from loadlab.reports.level_parts import footnote, levels_table, percentiles, utc
from loadlab.reports.report import Report

_SPREAD = ("ttft_ms", "itl_ms", "e2e_ms")


@dataclass(frozen=True, slots=True)
class _Rows:
    requests: pd.DataFrame
    gaps: pd.DataFrame
    readings: pd.DataFrame
    bands: tuple[Band, ...]


def run_report(store: Any, ref: str) -> Report:
    """The report of the run that `ref` names. `store` is what `loadlab.store.open` returns."""
    stored = store.run(ref)
    summary = analysis.summary_of(store, stored.id)
    requests = store.requests(stored.id)
    rows = _Rows(
        requests,
        store.gaps(stored.id),
        store.readings(stored.id),
        bands_of(store.levels(stored.id), requests),
    )
    return Report(
        f"Run {stored.id}",
        list(_parts(summary, rows, stored)),
        footnote([summary], [stored.environment]),
        as_json.document(summary),
    )


def _parts(summary: Summary, rows: _Rows, stored: Any) -> Iterator[Part]:
    endpoint, curve = summary.spec.endpoint, analysis.curve(summary)
    yield Paragraph.of(answer(f"{endpoint.model} on {endpoint.name}", curve, DEFAULT), kind="lead")
    yield Paragraph.of(verdict(summary.run["verdict"]), f"· {summary.run['state']}")
    yield Items([*summary.run["reasons"], *summary.notes])
    yield Heading("Levels")
    yield levels_table({summary.run["id"]: curve})
    for level in summary.levels:
        yield from percentiles(level)
    yield from _over_time(rows)
    yield from _errors(summary, rows)
    yield from _spread(summary, rows)
    yield Heading("Cost and hardware")
    yield Items([*cost.words(summary.levels), *hardware.words(summary.levels)])
    yield from _readings(rows)
    yield Heading("Setting")
    yield Facts(_setting(summary, stored))


def _over_time(rows: _Rows) -> Iterator[Part]:
    timeline = analysis.timeline(rows.requests)
    yield Heading("Over time")
    if timeline.empty:
        yield Paragraph.of("No request was recorded, so there is nothing to draw over time.")
        return
    limit, worst = DEFAULT[0].value, timeline["ttft_ms_p95"].max()
    yield Chart(
        "over-time",
        f"TTFT, throughput and open requests over time; the highest p95 of a bin is {quantity(worst, 'ms')}.",
        partial(latency_over_time, timeline, rows.requests, rows.bands, limit),
        _bins(timeline),
    )


_BINS = (
    ("From", "t_s", "s"), ("Sent", "sent", ""), ("Ok", "ok", ""), ("Failed", "failed", ""),
    ("TTFT p50", "ttft_ms_p50", "ms"), ("TTFT p95", "ttft_ms_p95", "ms"),
    ("Open requests", "in_flight", ""), ("Output tokens", "output_tokens", ""),
)  # fmt: skip


def _bins(timeline: pd.DataFrame) -> Table:
    records = timeline.to_dict("records")
    rows = [[quantity(float(row[key]), unit) for _, key, unit in _BINS] for row in records]
    columns = [Column(head) for head, _, _ in _BINS]
    return Table("The run in bins of time", columns, rows, table_csv(timeline))


def _errors(summary: Summary, rows: _Rows) -> Iterator[Part]:
    failed = sum(level.requests["failed"] for level in summary.levels)
    sent = sum(level.requests["sent"] for level in summary.levels)
    yield Heading("Errors")
    if not failed:
        words = f"No request failed: {sent:,} of {sent:,} succeeded." if sent else "No request was sent."
        yield Paragraph.of(words)
        return
    yield Chart(
        "errors",
        f"{failed:,} of {sent:,} requests failed.",
        partial(errors_over_time, rows.requests, rows.bands),
        _kinds(summary),
    )


def _kinds(summary: Summary) -> Table:
    heads = (
        ("Kind", False),
        ("Level", False),
        ("Requests", True),
        ("Share of sent", True),
        ("Example", False),
    )
    rows: list[list[Cell]] = [
        [
            Code(kind),
            level.label,
            f"{n:,}",
            f"{number(100 * n / level.requests['sent'])} %",
            level.examples.get(kind, "–"),
        ]
        for level in summary.levels
        for kind, n in level.requests["errors"].items()
    ]
    return Table("Failed requests by kind", [Column(*head) for head in heads], rows)


def _spread(summary: Summary, rows: _Rows) -> Iterator[Part]:
    yield Heading("Distributions")
    for metric in _SPREAD:
        known = {
            level.label: values
            for level in _spread_out(summary.levels)
            if (values := _samples(rows, metric, level.index)).size
        }
        if known:
            yield _distribution(metric, known)


def _distribution(metric: str, known: Mapping[str, Any]) -> Chart:
    words = axis(metric)
    limit = DEFAULT[0].value if metric == "ttft_ms" else None
    medians = "; ".join(
        f"median {words.text(float(np.median(values)))} at {name}" for name, values in known.items()
    )
    name = METRICS[metric].label
    return Chart(
        metric.replace("_", "-"),
        f"Distribution of {name[0].lower()}{name[1:]}: {medians}.",
        partial(ecdf, known, metric, limit),
    )


def _spread_out(levels: tuple[LevelSummary, ...]) -> list[LevelSummary]:
    """All levels, or of more than six, six spread evenly."""
    if len(levels) <= MAX_SERIES:
        return list(levels)
    return [levels[round(at)] for at in np.linspace(0, len(levels) - 1, MAX_SERIES)]


def _samples(rows: _Rows, metric: str, level: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The measured values of a metric at a level, of answers only."""
    gaps = metric == "itl_ms"
    frame = rows.gaps if gaps else rows.requests
    answered = frame["ok"].astype(bool) if gaps else frame["error_kind"].isna()
    chosen = frame[(frame["level"] == level) & answered & ~frame["warmup"].astype(bool)]
    values = chosen if gaps else analysis.request_metrics(chosen)
    return values[metric].dropna().to_numpy(dtype=np.float64)


def _readings(rows: _Rows) -> Iterator[Part]:
    statistics = list(lane_statistics(rows.readings))
    if not statistics:
        yield Paragraph.of("No reading was stored: no GPU was found, and no collector worked or ran.")
        return
    names = ("mean", "p95", "max")
    columns = [Column("Reading", False), Column("Of", False), Column("n"), *(Column(name) for name in names)]
    cells = [
        [row["lane"], row["series"], f"{row['n']:,}", *(number(row[name]) for name in names)]
        for row in statistics
    ]
    yield Chart(
        "readings",
        "What GPUs, server, host and load generator read during the run.",
        partial(lanes, rows.readings, rows.bands),
        Table("Readings, each over the whole run", columns, cells),
    )


def _setting(summary: Summary, stored: Any) -> list[tuple[str, Cell]]:
    spec = summary.spec
    return [
        ("Run", Code(spec.id)),
        ("Label", spec.label),
        ("Started (UTC)", utc(stored.started_at_ns)),
        ("Ended (UTC)", utc(stored.finished_at_ns)),
        ("Scenario", spec.scenario),
        ("Target", f"{spec.endpoint.name}: {spec.endpoint.url}"),
        ("Model", spec.endpoint.model),
        ("Dialect", spec.endpoint.dialect),
        ("Seed", str(spec.seed)),
        ("Output cap", f"{spec.max_tokens} tokens" if spec.max_tokens else ""),
        ("Prompt length", f"{spec.prompt_tokens} tokens" if spec.prompt_tokens else ""),
        ("Expected error", accuracy.words(summary.levels)),
        *((name, words) for name, words in _flat(stored.environment)),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)
