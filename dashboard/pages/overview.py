"""Overview: is the latest run good, and what else was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from dash import Dash, dcc, html

from loadlab.core.units import NS_PER_S, number
from loadlab.figures import Theme
from loadlab.figures.marks import COST
from loadlab.figures.slo import DEFAULT, MAX_ERROR_RATE

from ..answers import Held, answer, by_load, held
from ..components import Column, page, section, table, tiles, verdict
from ..empty import no_runs
from ..levels import numbers
from ..links import run_link, tradeoff_path
from ..source import Source, host, short_id

PATH = "/"
TITLE = "Overview"
SHOWN = 25
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
    """The latest run's answer and tiles, then the newest runs."""
    runs = source.runs(limit=SHOWN)
    if not runs:
        return page(TITLE, None, no_runs(source, "run", "--users 8 --requests 96"))
    latest = runs[0]
    curve = source.curve(latest["id"])
    rows = [_row(source, run) for run in runs]
    return page(
        TITLE,
        answer(f"{latest['model']} on {host(latest['url'])}", curve, DEFAULT),
        _latest(latest, source.summary(latest["id"]).run["verdict"], curve),
        section("Runs", table(_COLUMNS, rows, "The newest runs"), note=_NOTE),
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page but by navigating."""


def _latest(run: Mapping[str, Any], word: str, curve: pd.DataFrame) -> html.Section:
    found = held(curve, DEFAULT)
    level = _level(found, curve)
    at = f"at {level['offered']}" if level else "no level measured"
    measured = numbers(level or {})
    links = [
        run_link(run["id"], "Run detail"),
        " · ",
        dcc.Link("Throughput vs latency", href=tradeoff_path([run["id"]])),
    ]
    return section(
        "Latest run",
        tiles(
            ("Verdict", verdict(word), run["state"]),
            ("Holds the SLO", found.level["offered"] if found.level else "at no load", DEFAULT[0].words),
            ("TTFT p95", measured["ttft_ms_p95"], at),
            ("ITL p95", measured["itl_ms_p95"], at),
            ("Output", measured["output_tokens_per_s"], at),
            ("$/Mtok output", measured[COST], at),
            ("Requests", f"{run['n_requests']:,}", _failed(run)),
        ),
        html.P(links),
    )


def _level(found: Held, curve: pd.DataFrame) -> dict[str, Any] | None:
    return found.level or next(iter(by_load(curve)), None)


def _row(source: Source, run: Mapping[str, Any]) -> dict[str, Any]:
    curve, state = source.curve(run["id"]), run["state"]
    found = held(curve, DEFAULT)
    name = html.Span(_started(run["started_at_ns"]), className="once")
    asked = f"{run['model']} on {host(run['url'])}"
    word = source.summary(run["id"]).run["verdict"] if state == "finished" else state
    return {
        **numbers(_level(found, curve) or {}),
        "run": _two(run_link(run["id"], name), short_id(run["id"])),
        "target": [html.Div(run["label"] or run["scenario"]), html.Div(asked, className="below")],
        "requests": _two(f"{run['n_requests']:,}", _failed(run)),
        "holds": _two(found.level["offered"] if found.level else "none", f"of {_levels(run)}"),
        "verdict": verdict(word),
    }


def _two(above: Any, below: str) -> list[html.Div]:
    return [html.Div(above), html.Div(below, className="below once")]


def _levels(run: Mapping[str, Any]) -> str:
    return "1 level" if run["n_levels"] == 1 else f"{run['n_levels']:,} levels"


def _failed(run: Mapping[str, Any]) -> str:
    if not run["n_requests"]:
        return "none recorded"
    return f"{number(100 * run['n_failed'] / run['n_requests'])} % failed"


def _started(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M")
