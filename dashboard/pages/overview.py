"""Overview: is anything wrong today? The latest run beside its past, and the latest run of every kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, dcc, html

from loadlab.core.units import number
from loadlab.figures import Theme
from loadlab.figures.answers import answer
from loadlab.figures.marks import COST
from loadlab.figures.slo import DEFAULT, MAX_ERROR_RATE

from ..components import Column, page, section, table, verdict
from ..empty import no_runs
from ..kept import curves
from ..levels import numbers
from ..links import run_link, tradeoff_path
from ..moments import minute
from ..source import Source, host, short_id
from ..words import counted
from . import overview_parts as parts

PATH = "/"
TITLE = "Overview"
LOOKED_AT, KINDS, NEWEST = 200, 12, 10
_HOLDS = "The highest measured load that holds the SLO; the numbers right of it are of that load"
_COLUMNS = (
    Column("Run (UTC)", "run", number=False),
    Column("Scenario and target", "target", number=False),
    Column("Requests", "requests"),
    Column("Holds", "holds", number=False, help=_HOLDS),
    Column("TTFT p95", "ttft_ms_p95", help="Time to first token, 95th percentile"),
    Column("Output", "output_tokens_per_s", help="Output tokens per second, all users together"),
    Column("$/Mtok output", COST, help="All cost over output tokens"),
    Column("Verdict", "verdict", number=False),
)
_NOTE = (
    f"“Holds” is the highest measured load that keeps {DEFAULT[0].words} with at most {MAX_ERROR_RATE:g} % "
    "errors. The numbers beside it are of that load, or of the lightest where none holds."
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The latest run's answer and tiles, the latest run of each kind, incidents, money, the newest runs."""
    runs = source.runs(limit=LOOKED_AT)
    if not runs:
        return page(TITLE, None, no_runs(source, "run", "--users 8 --requests 96"))
    latest = runs[0]
    alike = [run for run in runs if parts.kind(run) == parts.kind(latest)][: parts.PAST]
    kinds = _latest_of_kinds(runs)
    wanted = dict.fromkeys(run["id"] for run in (*alike, *kinds, *runs[:NEWEST]))
    known = curves(source, list(wanted))
    past = {run["id"]: known[run["id"]] for run in reversed(alike)}
    return page(
        TITLE,
        answer(f"{latest['model']} on {host(latest['url'])}", known[latest["id"]], DEFAULT),
        section(
            "Latest run", parts.kpis(source, latest, past, theme), _links(latest), note=_past_note(alike)
        ),
        section("Latest run of each scenario and target", _kinds(kinds, known), note=_NOTE),
        html.Div(
            [
                section("Open incidents", *parts.incidents(source)),
                section("Spent this month", *parts.money(source)),
            ],
            className="columns",
        ),
        section("Newest runs", _newest(runs[:NEWEST], known), html.P(dcc.Link("All runs", href="/runs"))),
        about=f"{counted(len(runs), 'run')} looked at",
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page but by navigating."""


def _latest_of_kinds(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[Any, dict[str, Any]] = {}
    for run in runs:
        if not str(run["label"]).startswith(("gate-", "aa-")):  # a gate's runs have a page of their own
            found.setdefault(parts.kind(run), run)
    return list(found.values())[:KINDS]


def _past_note(alike: list[dict[str, Any]]) -> str:
    earlier = len(alike) - 1
    if not earlier:
        return "The first run of its scenario, target and model: there is nothing to compare with yet."
    return (
        f"Beside {counted(earlier, 'earlier run')} of the same scenario, target and model at that load; "
        "INVALID ones are left out. Differences are of two single runs: Compare and Gates tell what is real."
    )


def _links(run: Mapping[str, Any]) -> html.P:
    return html.P(
        [
            run_link(run["id"], "Run detail"),
            " · ",
            dcc.Link("Throughput vs latency", href=tradeoff_path([run["id"]])),
            " · ",
            dcc.Link("Compare", href="/compare"),
        ]
    )


def _kinds(kinds: list[dict[str, Any]], known: Mapping[str, Any]) -> Any:
    if not kinds:
        return html.P("Only gates have run so far: see their page.")
    rows = [parts.kind_row(run, known[run["id"]]) for run in kinds]
    return table(parts.KINDS, rows, "The latest run of each scenario and target")


def _newest(runs: list[dict[str, Any]], known: Mapping[str, Any]) -> Any:
    return table(_COLUMNS, [_row(run, known[run["id"]]) for run in runs], "The newest runs")


def _row(run: Mapping[str, Any], curve: Any) -> dict[str, Any]:
    found, level = parts.level_of(curve)
    name = html.Span(minute(run["started_at_ns"]), className="once")
    asked = f"{run['model']} on {host(run['url'])}"
    holds = found.level["offered"] if found.level else "none"
    return {
        **numbers(level or {}),
        "run": _two(run_link(run["id"], name), short_id(run["id"])),
        "target": [html.Div(run["label"] or run["scenario"]), html.Div(asked, className="below")],
        "requests": _two(f"{run['n_requests']:,}", _failed(run)),
        "holds": _two(holds, f"of {counted(run['n_levels'], 'level')}"),
        "verdict": verdict(parts.stood(run, curve)),
    }


def _two(above: Any, below: str) -> list[html.Div]:
    return [html.Div(above), html.Div(below, className="below once")]


def _failed(run: Mapping[str, Any]) -> str:
    if not run["n_requests"]:
        return "none recorded"
    return f"{number(100 * run['n_failed'] / run['n_requests'])} % failed"
