"""The parts of a run's page: numbers of a level, figures over time, errors, distribution, setting."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
from dash import dcc, html

from loadlab.analysis import LevelSummary, Summary
from loadlab.analysis.intervals import mean_interval, quantile_interval
from loadlab.analysis.percentiles import LEVELS, Sample, wanted
from loadlab.analysis.samples import REQUEST_METRICS, column, ok
from loadlab.core.metrics import METRICS
from loadlab.core.units import NS_PER_S, number, usd
from loadlab.figures import (
    MAX_SERIES,
    Theme,
    density,
    ecdf,
    errors_over_time,
    histogram,
    lane_statistics,
    lanes,
    latency_over_time,
)
from loadlab.figures.axes import STATISTICS, axis, quantity
from loadlab.figures.marks import COST
from loadlab.figures.slo import DEFAULT

from ..components import Column, chart, empty, facts, table, tiles
from ..levels import per_mtok
from ..links import request_path
from ..prices import price_facts
from ..source import Source, Trace

DISTRIBUTED = ("ttft_ms", "itl_ms", "e2e_ms")
_SHORT = {"ttft_ms": "TTFT", "itl_ms": "ITL", "e2e_ms": "End to end"}
_PERCENTILES = (
    Column("Metric", "metric", number=False),
    Column("n", "n"),
    *(Column(statistic, statistic) for statistic in STATISTICS),
)
_ERRORS = (
    Column("Kind", "kind", number=False),
    Column("Level", "level", number=False),
    Column("Requests", "n"),
    Column("Share of sent", "share"),
    Column("Example", "example", number=False),
)
_READINGS = (
    Column("Reading", "lane", number=False),
    Column("Of", "series", number=False),
    Column("n", "n"),
    Column("mean", "mean"),
    Column("p95", "p95"),
    Column("max", "max"),
)
_BINS = (
    Column("From", "t_s"),
    Column("Sent", "sent"),
    Column("Ok", "ok"),
    Column("Failed", "failed"),
    Column("TTFT p50", "ttft_ms_p50"),
    Column("TTFT p95", "ttft_ms_p95"),
    Column("Open requests", "in_flight"),
    Column("Output tokens", "output_tokens"),
)


def metric_label(name: str) -> str:
    """The short name of a metric, for pickers."""
    return _SHORT[name]


def level_numbers(level: LevelSummary, trace: Trace) -> list[Any]:
    """Tiles and percentiles of one level, each with its 95 % interval."""
    rows = [
        _percentile_row(name, stats, _samples(trace, name, level.index))
        for name, stats in level.metrics.items()
        if stats["n"]
    ]
    if not rows:
        return [_tiles(level), empty("No request of this level succeeded, so there is no latency to show.")]
    return [
        _tiles(level),
        table(_PERCENTILES, rows, f"Percentiles at {level.label}"),
        html.P(_PERCENTILES_NOTE, className="note"),
    ]


_PERCENTILES_NOTE = (
    "Small print: the 95 % interval, from order statistics of as many values as count as independent; a dash "
    "where they are too few. † fewer than ten samples lie beyond this percentile: read it with care."
)


def _tiles(level: LevelSummary) -> html.Div:
    counts, rates = level.requests, level.rates
    share = 100 * counts["failed"] / counts["sent"] if counts["sent"] else None
    return tiles(
        ("Requests ok", f"{counts['ok']:,}", f"of {counts['sent']:,} sent"),
        ("Failed", f"{number(share)} %" if share is not None else "–", f"{counts['failed']:,} requests"),
        ("TTFT p95", *_p95(level, "ttft_ms")),
        ("ITL p95", *_p95(level, "itl_ms")),
        ("Output", quantity(rates["output_tokens_per_s"], "tok/s"), _window(level)),
        ("Requests", quantity(rates["requests_per_s"], "1/s"), _window(level)),
        ("$/Mtok output", per_mtok(level.cost[COST]), _spent(level.cost["usd"])),
    )


def _spent(cost: float | None) -> str:
    return "unpriced" if cost is None else f"{usd(cost)} in all"


def _p95(level: LevelSummary, metric: str) -> tuple[str, str]:
    stats = level.metrics[metric]
    return quantity(stats["p95"], METRICS[metric].unit), f"n = {stats['n']:,}"


def _window(level: LevelSummary) -> str:
    return f"over {quantity(level.window_s, 's')}"


def _percentile_row(name: str, stats: Mapping[str, Any], sample: Sample | None = None) -> dict[str, Any]:
    metric = METRICS[name]
    label = html.Span(metric.label, title=f"{metric.formula}. {metric.help}")
    cells: dict[str, Any] = {statistic: _cell(stats, statistic, metric.unit) for statistic in STATISTICS}
    if sample is not None:
        cells = {statistic: [html.Div(text), _within(sample, statistic)] for statistic, text in cells.items()}
    return {"metric": label, "n": f"{stats['n']:,}", **cells}


def _within(sample: Sample, statistic: str) -> html.Div | None:
    """The bounds of a statistic in small print; the unit stands above them. An extreme has none."""
    if statistic == "max":
        return None
    found = mean_interval(sample) if statistic == "mean" else quantile_interval(sample, LEVELS[statistic])
    known = found.low is not None and found.high is not None
    text = f"{number(found.low)} – {number(found.high)}" if known else "–"
    return html.Div(text, className="below", title=found.why or None)


def _cell(stats: Mapping[str, Any], statistic: str, unit: str) -> str:
    few = statistic in LEVELS and stats["n"] < wanted(LEVELS[statistic])
    return quantity(stats[statistic], unit) + (" †" if few else "")


def over_time(trace: Trace, theme: Theme) -> Any:
    """Latency, throughput and open requests on one clock."""
    if trace.timeline.empty:
        return empty("No request was recorded, so there is nothing to draw over time.")
    limit = DEFAULT[0].value
    figure = latency_over_time(trace.timeline, trace.requests, trace.bands, limit, theme)
    worst = trace.timeline["ttft_ms_p95"].max()
    finding = f"Time to first token over time: highest p95 of a bin {quantity(worst, 'ms')}."
    return chart("over-time", figure, finding, _timeline_table(trace.timeline))


def _timeline_table(timeline: pd.DataFrame) -> html.Div:
    units = {"t_s": "s", "ttft_ms_p50": "ms", "ttft_ms_p95": "ms"}
    rows = [
        {column.key: quantity(float(row[column.key]), units.get(column.key, "")) for column in _BINS}
        for row in timeline.to_dict("records")
    ]
    return table(_BINS, rows, "The run in bins of time")


DENSITY_NOTE = "Successful requests by when they were sent and how long their first token took."
STALLS_NOTE = (
    "The longest waits between two pieces of one answer, each over five times the run's median wait and over "
    "50 ms. Every one opens its request."
)
_STALLS = (
    Column("Request", "request", number=False),
    Column("Load", "level", number=False),
    Column("At", "at", help="Since the run began, when the wait began"),
    Column("Waited", "waited"),
)


def density_of(trace: Trace, theme: Theme) -> Any:
    """Where in time which TTFT was common."""
    answered = trace.requests[ok(trace.requests)]
    if not np.isfinite(column(answered, "first_token_ns")).any():
        return empty("No successful request has a first token, so there is nothing to draw.")
    return chart(
        "density", density(trace.requests, trace.bands, theme),
        f"Time to first token of {len(answered):,} requests over the run.", _timeline_table(trace.timeline),
        _dots(answered),
    )  # fmt: skip


def _dots(answered: pd.DataFrame) -> pd.DataFrame:
    sent_s = column(answered, "sent_ns") / NS_PER_S
    return pd.DataFrame({"sent_s": sent_s, "ttft_ms": REQUEST_METRICS["ttft_ms"](answered)})


def stalls(source: Source, summary: Summary, trace: Trace) -> list[Any]:
    """The longest stalls of a run, at most 20."""
    labels = {level.index: level.label for level in summary.levels}
    limit_ms = max(50.0, 5 * float(trace.gaps["itl_ms"].median())) if len(trace.gaps) else 50.0
    found = source.store.request_log.stalls(summary.run["id"], limit_ms, 20)
    if found.empty:
        return [html.P(f"No wait between two pieces of an answer was over {quantity(limit_ms, 'ms')}.")]
    rows = [
        {
            "request": dcc.Link(
                f"{row['worker']}-{row['seq']}",
                href=request_path(summary.run["id"], row["worker"], row["seq"]),
            ),
            "level": labels.get(row["level"], ""),
            "at": quantity(row["at_ns"] / NS_PER_S, "s"),
            "waited": quantity(row["waited_ms"], "ms"),
        }
        for row in found.to_dict("records")
    ]
    return [table(_STALLS, rows, "The longest stalls")]


_STATUSES = (
    Column("Status", "status", number=False),
    Column("Requests", "n"),
    Column("Share", "share"),
    Column("Error kinds", "kinds", number=False),
)


def statuses(outcomes: pd.DataFrame) -> Any:
    """Requests by the HTTP status they ended with, warm-up included."""
    if outcomes.empty:
        return html.P("No request was recorded.")
    known = outcomes.assign(status=[_status(value) for value in outcomes["status"]])
    rows = [_status_row(str(status), group, outcomes["n"].sum()) for status, group in known.groupby("status")]
    return table(_STATUSES, rows, "Requests by HTTP status")


def _status(value: Any) -> str:
    return "no answer" if pd.isna(value) else f"{value:.0f}"


def _status_row(status: str, group: pd.DataFrame, whole: float) -> dict[str, str]:
    kinds = group.dropna(subset=["error_kind"]).groupby("error_kind")["n"].sum()
    return {
        "status": status,
        "n": f"{group['n'].sum():,}",
        "share": f"{number(100 * group['n'].sum() / whole)} %",
        "kinds": ", ".join(f"{kind} {n:,}" for kind, n in kinds.items()) or "–",
    }


def hardware(trace: Trace, theme: Theme) -> Any:
    """What GPUs, server, host and load generator read during the run."""
    figure = lanes(trace.readings, trace.bands, theme)
    if not figure.data:
        return empty("No reading was stored: no GPU was found, and no collector worked or ran.")
    names = ", ".join(
        annotation.text for annotation in figure.layout.annotations if annotation.xref == "paper"
    )
    rows = [
        {**row, "n": f"{row['n']:,}", **{key: number(row[key]) for key in ("mean", "p95", "max")}}
        for row in lane_statistics(trace.readings)
    ]
    data = table(_READINGS, rows, "Readings, each over the whole run")
    return chart("hardware", figure, f"Readings over time: {names}.", data)


def errors(summary: Summary, trace: Trace, theme: Theme) -> Any:
    """Failures over time and by kind, with an example of each."""
    failed = sum(level.requests["failed"] for level in summary.levels)
    sent = sum(level.requests["sent"] for level in summary.levels)
    early = int((trace.requests["error_kind"].notna() & trace.requests["warmup"].astype(bool)).sum())
    if not failed + early:
        return html.P(
            f"No request failed: {sent:,} of {sent:,} succeeded." if sent else "No request was sent."
        )
    figure = errors_over_time(trace.requests, trace.bands, theme)
    finding = f"{failed:,} of {sent:,} requests failed."
    words = finding + (f" {early:,} more failed during a warm-up: drawn, not counted." if early else "")
    drawn = chart("errors", figure, finding)
    return html.Div(
        [html.P(words), drawn, table(_ERRORS, _error_rows(summary.levels), "Failed requests by kind")]
    )


def _error_rows(levels: Iterable[LevelSummary]) -> list[dict[str, Any]]:
    return [
        {
            "kind": html.Code(kind),
            "level": level.label,
            "n": f"{n:,}",
            "share": f"{number(100 * n / level.requests['sent'])} %",
            "example": level.examples.get(kind, "–"),
        }
        for level in levels
        for kind, n in level.requests["errors"].items()
    ]


def distribution(summary: Summary, trace: Trace, metric: str, theme: Theme, *, bars: bool = False) -> Any:
    """How one metric is spread, one curve per level; of more than six levels, six spread evenly."""
    samples = {level.label: _samples(trace, metric, level.index) for level in _spread_out(summary.levels)}
    known = {name: values for name, values in samples.items() if values.size}
    if not known:
        return empty(f"{METRICS[metric].label} was not measured: no successful request has it.")
    limit = DEFAULT[0].value if metric == "ttft_ms" else None
    medians = [
        f"{name}: median {axis(metric).text(float(np.median(values)))}" for name, values in known.items()
    ]
    finding = f"Distribution of {METRICS[metric].label.lower()}. {'; '.join(medians)}."
    rows = [
        _percentile_row(metric, level.metrics[metric]) | {"metric": level.label}
        for level in summary.levels
        if level.metrics[metric]["n"]
    ]
    columns = (Column("Load", "metric", number=False), *_PERCENTILES[1:])
    data = table(columns, rows, f"{METRICS[metric].label} by level")
    figure = (histogram if bars else ecdf)(known, metric, limit, theme)
    return chart("distribution", figure, finding, data, _sample_rows(known, metric))


def _sample_rows(known: Mapping[str, Sample], metric: str) -> pd.DataFrame:
    parts = [pd.DataFrame({"load": name, metric: np.sort(values)}) for name, values in known.items()]
    return pd.concat(parts, ignore_index=True)


def _samples(trace: Trace, metric: str, level: int) -> Sample:
    rows = trace.gaps if metric == "itl_ms" else trace.requests
    # The generator can be late for a request that then fails: send lag counts every request that left.
    ok = rows["ok"] if metric == "itl_ms" else rows["error_kind"].isna() | (metric == "send_lag_ms")
    chosen = rows[(rows["level"] == level) & ok.astype(bool) & ~rows["warmup"].astype(bool)]
    values = (
        chosen[metric].to_numpy(dtype=np.float64) if metric == "itl_ms" else REQUEST_METRICS[metric](chosen)
    )
    return values[np.isfinite(values)]


def _spread_out(levels: tuple[LevelSummary, ...]) -> list[LevelSummary]:
    places = np.linspace(0, len(levels) - 1, min(len(levels), MAX_SERIES)).round().astype(int)
    return [levels[place] for place in places]


def setting(stored: Any) -> list[Any]:
    """What was asked, of whom, from where, at which price."""
    return [
        html.H3("Run"),
        facts(_run_facts(stored)),
        html.H3("Environment"),
        facts(_flat(stored.environment)),
        html.H3("Price"),
        facts(price_facts(stored.price)) if stored.price else html.P(stored.unpriced or "unpriced"),
    ]


def _run_facts(stored: Any) -> list[tuple[str, Any]]:
    spec = stored.spec
    return [
        ("Id", stored.id),
        ("Label", spec.label),
        ("Started (UTC)", _utc(stored.started_at_ns)),
        ("Ended (UTC)", _utc(stored.finished_at_ns)),
        ("State", stored.state),
        ("Scenario", spec.scenario),
        ("Target", f"{spec.endpoint.name}: {spec.endpoint.url}"),
        ("Model", spec.endpoint.model),
        ("Dialect", spec.endpoint.dialect),
        ("Seed", spec.seed),
        ("Output cap", f"{spec.max_tokens} tokens" if spec.max_tokens else None),
        ("Prompt length", f"{spec.prompt_tokens} tokens" if spec.prompt_tokens else None),
        ("Timeout", f"{spec.timeout_s:g} s"),
        ("Load processes", spec.processes),
    ]


def _utc(at_ns: int | None) -> str | None:
    return (
        None if at_ns is None else datetime.fromtimestamp(at_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        found += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", _plain(value))]
    return found


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
