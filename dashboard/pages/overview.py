"""Overview: is the latest run good, and what else was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from dash import Dash, dcc, html

from loadlab.core.units import NS_PER_S, number
from loadlab.figures import Theme
from loadlab.figures.axes import axis
from loadlab.figures.marks import COST
from loadlab.figures.slo import DEFAULT

from ..answers import Held, answer, by_load, held
from ..components import Column, empty, page, section, table, tiles, verdict
from ..links import run_link, tradeoff_path
from ..source import Source, host, short_id

PATH = "/"
TITLE = "Overview"
SHOWN = 25
COMMANDS = (
    "make demo                      # a real model, a sweep and these pages",
    "loadlab run chat --url http://127.0.0.1:8000/v1 --model NAME --users 8 --requests 96",
)
_COLUMNS = (
    Column("Run", "run", number=False),
    Column("Started (UTC)", "started", number=False),
    Column("Scenario", "scenario", number=False),
    Column("Target", "target", number=False),
    Column("Levels", "levels", help="How many loads were measured"),
    Column("Requests", "requests"),
    Column("Failed", "failed"),
    Column(
        "Holds",
        "holds",
        number=False,
        help="The highest load that holds the SLO; the numbers right of it are there",
    ),
    Column("TTFT p95", "ttft", help="Time to first token, 95th percentile"),
    Column("Output", "output", help="Output tokens per second, all users together"),
    Column("$/Mtok", "cost", help="All cost over output tokens"),
    Column("Verdict", "verdict", number=False),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The latest run's answer and tiles, then the newest runs."""
    runs = source.runs(limit=SHOWN)
    if not runs:
        return page(
            TITLE, None, empty("No run is recorded in this store yet. Either of these fills it:", COMMANDS)
        )
    latest = runs[0]
    curve = source.curve(latest["id"])
    subject = f"{latest['model']} on {host(latest['url'])}"
    rows = [_row(source, run) for run in runs]
    return page(
        TITLE,
        answer(subject, curve, DEFAULT),
        _latest(latest, source.summary(latest["id"]).run["verdict"], curve),
        section(
            "Runs",
            table(_COLUMNS, rows, "The newest runs"),
            note=f"Newest {len(rows)}. “Holds” is the highest measured load that keeps {DEFAULT[0].words} with "
            "at most 1 % errors. The numbers beside it are of that load, or of the lightest when none holds.",
        ),
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page but by navigating."""


def _latest(run: dict[str, Any], word: str, curve: pd.DataFrame) -> html.Section:
    found = held(curve, DEFAULT)
    level = _level(found, curve)
    at = f"at {level['offered']}" if level else "no level measured"
    level = level or {}
    columns = (
        ("ttft_ms_p95", "TTFT p95"),
        ("itl_ms_p95", "ITL p95"),
        ("output_tokens_per_s", "Output"),
        (COST, "Cost, output"),
    )
    links = html.P(
        [
            run_link(run["id"], "Run detail"),
            " · ",
            dcc.Link("Throughput vs latency", href=tradeoff_path([run["id"]])),
        ]
    )
    return section(
        "Latest run",
        tiles(
            ("Verdict", verdict(word), run["state"]),
            ("Holds the SLO", found.level["offered"] if found.level else "at no load", DEFAULT[0].words),
            *((words, axis(column).text(level.get(column)), at) for column, words in columns),
            ("Failed", failed_share(run), f"{run['n_failed']:,} of {run['n_requests']:,} requests"),
        ),
        links,
    )


def _level(found: Held, curve: pd.DataFrame) -> dict[str, Any] | None:
    return found.level or next(iter(by_load(curve)), None)


def _row(source: Source, run: dict[str, Any]) -> dict[str, Any]:
    summary, curve = source.summary(run["id"]), source.curve(run["id"])
    found = held(curve, DEFAULT)
    level = _level(found, curve) or {}
    state = run["state"]
    return {
        "run": run_link(run["id"], short_id(run["id"])),
        "started": started(run["started_at_ns"]),
        "scenario": run["label"] or run["scenario"],
        "target": [html.Div(run["model"]), html.Div(host(run["url"]), className="below")],
        "levels": f"{run['n_levels']:,}",
        "requests": f"{run['n_requests']:,}",
        "failed": failed_share(run),
        "holds": found.level["offered"] if found.level else "no load",
        "ttft": axis("ttft_ms_p95").text(level.get("ttft_ms_p95")),
        "output": axis("output_tokens_per_s").text(level.get("output_tokens_per_s")),
        "cost": axis(COST).text(level.get(COST)).removesuffix("/Mtok"),
        "verdict": verdict(summary.run["verdict"] if state == "finished" else state),
    }


def failed_share(run: Mapping[str, Any]) -> str:
    """Failed requests in percent of all recorded ones."""
    return f"{number(100 * run['n_failed'] / run['n_requests'])} %" if run["n_requests"] else "–"


def started(at_ns: int) -> str:
    """A UTC time to the minute."""
    return datetime.fromtimestamp(at_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M")
