"""Run detail: what happened, level by level and second by second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from loadlab.analysis import LevelSummary, Summary
from loadlab.core.errors import NoDataError
from loadlab.figures import LIGHT, THEMES, Theme
from loadlab.figures.slo import DEFAULT

from .. import url
from ..answers import answer, held
from ..components import empty, page, section, table, verdict
from ..levels import MEASURED, OFFERED, SLO, VERDICT, level_rows
from ..links import overview_link, run_link, tradeoff_path
from ..source import Source, Trace, host, run_name
from . import run_parts as parts
from .hardware_table import hardware_by_level

PATH = "/run/<run_id>"
TITLE = "Run"


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The run in the path; `level` and `metric` choose what the middle of the page shows."""
    try:
        summary = source.summary(query["run_id"])
    except NoDataError as error:
        return _unknown(source, str(error))
    trace = source.trace(summary.run["id"])
    return page(
        f"Run {summary.run['id']}",
        answer(_subject(summary), source.curve(summary.run["id"]), DEFAULT),
        _verdict(summary),
        _levels(source, summary),
        _one_level(source, summary, query),
        section("Over time", parts.over_time(trace, theme)),
        section("Errors", parts.errors(summary, trace, theme)),
        _spread(summary, trace, query, theme),
        section(
            "Hardware, server and load generator", *hardware_by_level(summary), parts.hardware(trace, theme)
        ),
        section("Setting", *parts.setting(source.priced(summary.run["id"]))),
    )


def register(app: Dash, source: Source) -> None:
    """Choosing a level or a metric redraws those parts alone and writes the URL."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("run-level-numbers", "children"),
        Output("run-distribution", "children"),
        Output("url", "search", allow_duplicate=True),
        Output("shown", "data", allow_duplicate=True),
        Input("run-level", "value"),
        Input("run-metric", "value"),
        State("shown", "data"),
        prevent_initial_call=True,
    )
    def choose(level: str, metric: str, shown: dict[str, str]) -> Any:
        query = {"level": level, "metric": metric}
        summary = source.summary(shown["path"].rsplit("/", 1)[-1])
        drawn = url.read(shown["search"])
        before = (_level(source, summary, drawn), _metric(drawn))
        after = (_level(source, summary, query), _metric(query))
        if before == after:  # the pickers were just laid out
            return no_update, no_update, no_update, no_update
        search = url.write(query)
        spread = parts.distribution(
            summary, source.trace(summary.run["id"]), metric, THEMES.get(shown["theme"], LIGHT)
        )
        return parts.level_numbers(after[0]), spread, search, {**shown, "search": search}


def _subject(summary: Summary) -> str:
    endpoint = summary.spec.endpoint
    return f"{endpoint.model} on {host(endpoint.url)}"


def _level(source: Source, summary: Summary, query: Mapping[str, str]) -> LevelSummary | None:
    """The level a query asks for; else the highest that holds the SLO, else the first."""
    known = {str(level.index): level for level in summary.levels}
    found = held(source.curve(summary.run["id"]), DEFAULT).level
    default = str(found["level"]) if found else next(iter(known), "")
    return known.get(query.get("level", default)) or known.get(default)


def _metric(query: Mapping[str, str]) -> str:
    metric = query.get("metric", "")
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


def _one_level(source: Source, summary: Summary, query: Mapping[str, str]) -> html.Section:
    level = _level(source, summary, query)
    picker = dmc.SegmentedControl(
        id="run-level",
        data=[{"value": str(each.index), "label": each.label} for each in summary.levels],
        value=str(level.index) if level else None,
        **{"aria-label": "Level"},
    )
    return section(
        "One level in numbers", picker, html.Div(parts.level_numbers(level), id="run-level-numbers")
    )


def _spread(summary: Summary, trace: Trace, query: Mapping[str, str], theme: Theme) -> html.Section:
    metric = _metric(query)
    picker = dmc.SegmentedControl(
        id="run-metric",
        data=[{"value": name, "label": parts.metric_label(name)} for name in parts.DISTRIBUTED],
        value=metric,
        **{"aria-label": "Metric"},
    )
    drawn = parts.distribution(summary, trace, metric, theme)
    return section("Distribution", picker, html.Div(drawn, id="run-distribution"))


def _unknown(source: Source, error: str) -> Any:
    items = [html.Li(run_link(run["id"], run_name(run))) for run in source.runs(limit=10)]
    known = [html.P("The newest runs of this store:"), html.Ul(items)] if items else []
    return page("No such run", None, empty(error, (), *known, overview_link()))
