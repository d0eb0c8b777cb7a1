"""Run detail: what happened, level by level, second by second, request by request; `tab` says which part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dash import Dash, dcc, html

from loadlab.analysis import LevelSummary, Summary
from loadlab.core.errors import NoDataError
from loadlab.figures import Theme
from loadlab.figures.answers import answer, held
from loadlab.figures.slo import DEFAULT

from ..choosing import chips
from ..components import empty, page, section, table, tabs, verdict
from ..levels import MEASURED, OFFERED, SLO, VERDICT, level_rows
from ..links import live_path, overview_link, run_link, run_path, tradeoff_path
from ..source import Source, host, run_name
from . import run_parts as parts
from . import run_requests
from .hardware_table import hardware_by_level

PATH = "/run/<run_id>"
TITLE = "Run"
KEYS = ("tab", "level", "metric", "as", *run_requests.KEYS)
_Kept = dict[str, str | None]


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The run in the path: the part `tab`, shaped by `level`, `metric`, `as` and those of the requests."""
    try:
        summary = source.summary(query["run_id"])
    except NoDataError as error:
        return _unknown(source, str(error))
    kept: _Kept = {key: query.get(key) for key in KEYS}
    tab = kept["tab"] if kept["tab"] in TABS else "summary"
    run_id = summary.run["id"]
    parts_of_it = [
        (words, run_path(run_id, tab=name, level=kept["level"]), name == tab)
        for name, (words, _) in TABS.items()
    ]
    return page(
        f"Run {run_id}",
        answer(_subject(summary), source.curve(run_id), DEFAULT),
        _still_running(summary),
        tabs("Parts of this run", parts_of_it),
        *TABS[tab][1](source, summary, kept, theme),
        about=_about(summary),
    )


def register(app: Dash, source: Source) -> None:
    """Every choice on this page is a link."""


def _about(summary: Summary) -> str:
    sent = sum(level.requests["sent"] for level in summary.levels)
    window_s = sum(level.window_s or 0 for level in summary.levels)
    spec = summary.spec
    return (
        f"{spec.scenario} on {spec.endpoint.model}, {len(summary.levels)} levels, n = {sent:,} requests in "
        f"{window_s:,.0f} s, warm-up excluded, {summary.run['verdict']}"
    )


def _still_running(summary: Summary) -> Any:
    if summary.run["state"] != "running":
        return None
    return html.P(
        ["This run is under way: ", dcc.Link("watch it live", href=live_path(summary.run["id"])), "."]
    )


def _summary(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    return [_verdict(summary), _levels(source, summary), _one_level(source, summary, kept)]


def _time(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    trace = source.trace(summary.run["id"])
    return [
        section("Over time", parts.over_time(trace, theme)),
        section("Density", parts.density_of(trace, theme), note=parts.DENSITY_NOTE),
        section("Stalls", *parts.stalls(source, summary, trace), note=parts.STALLS_NOTE),
    ]


def _distributions(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    trace, metric = source.trace(summary.run["id"]), _metric(kept)
    path = run_path(summary.run["id"])
    metrics = [
        ("" if name == parts.DISTRIBUTED[0] else name, parts.metric_label(name)) for name in parts.DISTRIBUTED
    ]
    drawn = parts.distribution(summary, trace, metric, theme, bars=kept["as"] == "histogram")
    choice = html.Div(
        [
            chips("Metric", path, kept, "metric", metrics),
            chips("Drawn as", path, kept, "as", [("", "share at or below"), ("histogram", "histogram")]),
        ],
        className="choices",
    )
    return [section("Distribution", choice, drawn)]


def _errors(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    run_id = summary.run["id"]
    return [
        section("Errors", parts.errors(summary, source.trace(run_id), theme)),
        section("By HTTP status", parts.statuses(source.store.request_log.outcomes(run_id))),
    ]


def _hardware(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    drawn = parts.hardware(source.trace(summary.run["id"]), theme)
    return [section("Hardware, server and load generator", *hardware_by_level(summary), drawn)]


def _setting(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    return [section("Setting", *parts.setting(source.priced(summary.run["id"])))]


def _requests(source: Source, summary: Summary, kept: _Kept, theme: Theme) -> list[Any]:
    return run_requests.explorer(source, summary, kept)


TABS: dict[str, tuple[str, Callable[[Source, Summary, _Kept, Theme], list[Any]]]] = {
    "summary": ("Summary", _summary),
    "time": ("Over time", _time),
    "distributions": ("Distributions", _distributions),
    "errors": ("Errors", _errors),
    "requests": ("Requests", _requests),
    "hardware": ("Hardware", _hardware),
    "setting": ("Setting", _setting),
}


def _subject(summary: Summary) -> str:
    endpoint = summary.spec.endpoint
    return f"{endpoint.model} on {host(endpoint.url)}"


def _level(source: Source, summary: Summary, kept: Mapping[str, str | None]) -> LevelSummary | None:
    """The level a query asks for; else the highest that holds the SLO, else the first."""
    known = {str(level.index): level for level in summary.levels}
    found = held(source.curve(summary.run["id"]), DEFAULT).level
    default = str(found["level"]) if found else next(iter(known), "")
    return known.get(kept.get("level") or default) or known.get(default)


def _metric(kept: Mapping[str, str | None]) -> str:
    metric = kept.get("metric") or ""
    return metric if metric in parts.DISTRIBUTED else parts.DISTRIBUTED[0]


def _verdict(summary: Summary) -> html.Section:
    run = summary.run
    state = [] if run["state"] == "finished" else [verdict(run["state"]), " "]
    reasons = [html.Li(reason) for reason in (*run["reasons"], *summary.notes)]
    held_up = (
        []
        if run["reasons"]
        else [html.P("No rule that makes a measurement doubtful fired.", className="note")]
    )
    return section(
        "Verdict", html.P([*state, verdict(run["verdict"])]), *held_up, html.Ul(reasons) if reasons else None
    )


def _levels(source: Source, summary: Summary) -> html.Section:
    curve = source.curve(summary.run["id"])
    if curve.empty:
        return section("Levels", empty("No level of this run has begun, so there is nothing to count yet."))
    columns = (OFFERED, *MEASURED, SLO, VERDICT)
    link = dcc.Link("Throughput vs latency of this run", href=tradeoff_path([summary.run["id"]]))
    return section("Levels", table(columns, level_rows(curve, DEFAULT), "Measured levels"), html.P(link))


def _one_level(source: Source, summary: Summary, kept: _Kept) -> html.Section:
    level = _level(source, summary, kept)
    if level is None:
        return section("One level in numbers", empty("No level was measured."))
    options = [(str(each.index), each.label) for each in summary.levels]
    chosen = {**kept, "level": str(level.index)}
    picker = (
        chips("Level", run_path(summary.run["id"]), chosen, "level", options) if len(options) > 1 else None
    )
    numbers = parts.level_numbers(level, source.trace(summary.run["id"]))
    return section("One level in numbers", picker, *numbers)


def _unknown(source: Source, error: str) -> Any:
    items = [html.Li(run_link(run["id"], run_name(run))) for run in source.runs(limit=10)]
    known = [html.P("The newest runs of this store:"), html.Ul(items)] if items else []
    return page("No such run", None, empty(error, (), *known, overview_link()))
