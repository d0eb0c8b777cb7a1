"""Parts of the overview: tiles with their past, the latest run of each kind, incidents, the month's money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from dash import dcc, html

from loadlab.core.units import number, usd
from loadlab.figures import Theme
from loadlab.figures.answers import Held, by_load, held
from loadlab.figures.axes import axis
from loadlab.figures.marks import COST
from loadlab.figures.slo import DEFAULT

from ..components import Column, table, verdict
from ..gating import documents
from ..levels import numbers, per_mtok
from ..links import run_link
from ..moments import ago, minute
from ..source import Source, host, short_id
from ..sparks import spark
from ..spent import allowed, month_usd
from ..words import counted, standing

PAST = 30
GATES = 20
_KPIS = {
    "ttft_ms_p95": "TTFT p95",
    "itl_ms_p95": "ITL p95",
    "output_tokens_per_s": "Output",
    "error_rate": "Errors",
    COST: "$/Mtok output",
}
KINDS = (
    Column("Scenario and target", "target", number=False),
    Column("Last run (UTC)", "run", number=False),
    Column("Holds", "holds", number=False, help="The highest measured load that holds the SLO"),
    Column("TTFT p95", "ttft_ms_p95", help="Time to first token, 95th percentile, at that load"),
    Column("ITL p95", "itl_ms_p95", help="Inter-token latency, 95th percentile, at that load"),
    Column("Output", "output_tokens_per_s", help="Output tokens per second, all users together"),
    Column("Errors", "error_rate"),
    Column("$/Mtok output", COST, help="All cost over output tokens"),
    Column("Verdict", "verdict", number=False),
)
_INCIDENTS = (
    Column("Since (UTC)", "at", number=False),
    Column("What", "what", number=False),
    Column("Where", "where", number=False),
    Column("State", "state", number=False),
)


def kind(run: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes runs one line of the table."""
    return run["scenario"], run["target"], run["model"]


def stood(run: Mapping[str, Any], curve: pd.DataFrame) -> str | None:
    """A run in one word; where its verdict was not stored, the worst of its levels."""
    word = standing(run)
    if word is not None or curve.empty:
        return word
    return str(max(curve["verdict"], key=("VALID", "SUSPECT", "INVALID").index))


def level_of(curve: pd.DataFrame) -> tuple[Held, dict[str, Any] | None]:
    """How far a run holds, and the level that stands for it: the highest that does, else the lightest."""
    found = held(curve, DEFAULT)
    return found, found.level or next(iter(by_load(curve)), None)


def kpis(
    source: Source, latest: Mapping[str, Any], curves: Mapping[str, pd.DataFrame], theme: Theme
) -> html.Div:
    """Tiles of the latest run beside its past; `curves` are of comparable runs, oldest first, it last."""
    _, level = level_of(curves[latest["id"]])
    load = level["offered"] if level else ""
    past = {ref: _at(curve, load) for ref, curve in curves.items()}
    rows = [row for row in past.values() if row is not None]
    return html.Div(
        [
            _gates(source),
            _tile("Last run", ago(latest["started_at_ns"]), [verdict(stood(latest, curves[latest["id"]]))]),
            *(_kpi(column, label, rows, load, theme) for column, label in _KPIS.items()),
        ],
        className="tiles",
    )


def _at(curve: pd.DataFrame, load: str) -> Mapping[str, Any] | None:
    """The level of that load, unless it must not be believed."""
    found = curve[(curve["offered"] == load) & (curve["verdict"] != "INVALID")] if len(curve) else curve
    return None if found.empty else dict(found.iloc[0])


def _kpi(column: str, label: str, rows: Sequence[Mapping[str, Any]], load: str, theme: Theme) -> html.Div:
    values = [float(row[column]) for row in rows if not pd.isna(row[column])]
    shown = axis(column).text if column != COST else per_mtok
    now = values[-1] if values else None
    below = [f"at {load}" if load else "no level measured"]
    if len(values) > 1:
        below.append(f"; {_change(column, values[-2], values[-1])}")
    line = spark(values, theme, f"{label} of the last {len(values)} comparable runs")
    return _tile(label, shown(now), below, line)


def _change(column: str, before: float, now: float) -> str:
    """ "+4.2 % to the run before, worse"."""
    if before == 0:
        return "as in the run before" if now == 0 else "none in the run before"
    percent = 100 * (now / before - 1)
    if abs(percent) < 0.05:
        return "as in the run before"
    better = (percent < 0) == (axis(column).better == "lower")
    sign, word = "+" if percent > 0 else "−", "better" if better else "worse"
    return f"{sign}{number(abs(percent))} % to the run before, {word}"


def _tile(label: str, value: Any, below: Any, line: Any = None) -> html.Div:
    return html.Div(
        [
            html.Div(label, className="tile-label"),
            html.Div(value, className="tile-value"),
            html.Div(below, className="tile-below"),
            line,
        ],
        className="tile",
    )


def _gates(source: Source) -> html.Div:
    found = documents(source, GATES)
    if not found:
        return _tile("Gates passing", "–", dcc.Link("none stored", href="/gates"))
    passed = sum(each["gate"]["outcome"] == "PASS" for each in found)
    link = dcc.Link(f"latest {found[0]['gate']['outcome']}", href="/gates/latest")
    return _tile("Gates passing", f"{passed} of {len(found)}", link)


def kind_row(run: Mapping[str, Any], curve: pd.DataFrame) -> dict[str, Any]:
    """The latest run of a kind."""
    found, level = level_of(curve)
    asked = f"{run['model']} on {host(run['url'])}"
    return {
        **numbers(level or {}),
        "target": [html.Div(f"{run['scenario']} · {run['target']}"), html.Div(asked, className="below")],
        "run": [
            html.Div(run_link(run["id"], html.Span(minute(run["started_at_ns"]), className="once"))),
            html.Div(short_id(run["id"]), className="below once"),
        ],
        "holds": [
            html.Div(found.level["offered"] if found.level else "none", className="once"),
            html.Div(f"of {counted(run['n_levels'], 'level')}", className="below once"),
        ],
        "verdict": verdict(stood(run, curve)),
    }


def incidents(source: Source) -> list[Any]:
    """Regressions that nobody has closed."""
    found = source.store.incidents.all(["open", "acknowledged"])
    if not found:
        return [
            html.P("No open incident: history found no regression that is not closed."),
            html.P(
                ["History is looked through by ", html.Code("loadlab history scan"), "."], className="note"
            ),
        ]
    rows = [
        {
            "at": html.Span(minute(each.opened_at_ns), className="once"),
            "what": ", ".join(each.metrics),
            "where": f"{each.scenario}, {each.model} at {each.target}",
            "state": each.state,
        }
        for each in found[:10]
    ]
    more = len(found) - 10
    note = html.P(f"{counted(more, 'more incident')}.", className="note") if more > 0 else None
    return [table(_INCIDENTS, rows, "Open incidents"), note]


def money(source: Source) -> list[Any]:
    """What this month cost so far, beside the budget where there is one."""
    spent, (budget, problem) = month_usd(source), allowed()
    if spent is None:
        words = ["No run of this month has a price. ", html.Code("loadlab run --price NAME"), " gives one."]
        return [html.P(words)]
    parts: list[Any] = [html.P([html.Strong(usd(spent)), " since the first of the month (UTC)."])]
    if budget:
        share = 100 * spent / budget
        label = f"{number(share)} % of the budget of {usd(budget)}"
        bar = html.Progress(value=str(min(spent, budget)), max=str(budget), **{"aria-label": label})
        parts += [bar, html.P(label + ("" if spent <= budget else ": over it"), className="note")]
    elif problem:
        parts.append(html.P(problem, className="note"))
    return [*parts, html.P(dcc.Link("Where it went", href="/cost"))]
