"""Targets: what can be or was run against, and how its last run went. Sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import Dash, dcc, html

from loadlab.core import config
from loadlab.core.errors import LoadlabError
from loadlab.core.units import number
from loadlab.figures import Theme
from loadlab.store import Sought

from .. import url
from ..components import Column, empty, page, section, table, verdict
from ..links import run_link
from ..moments import ago, minute
from ..source import Source
from ..words import counted, standing

PATH = "/targets"
TITLE = "Targets"
_COLUMNS = (
    Column("Target", "name", number=False),
    Column("Model", "model", number=False),
    Column("Address", "url", number=False),
    Column("Price", "price", number=False),
    Column("Runs", "runs"),
    Column("Last run (UTC)", "last", number=False),
    Column("Failed in it", "failed"),
    Column("Health", "health", number=False, help="From its last run; this page sends nothing"),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The targets of loadlab.toml, then those that only the store knows."""
    named, problem = _configured()
    ran = source.store.targets()
    rows = [_named(source, name, entry, ran) for name, entry in named.items()]
    others = [each for each in ran if each["target"] not in named]
    if not rows and not others:
        return page(TITLE, None, _none())
    return page(
        TITLE,
        _answer(len(named), ran),
        html.P(problem, className="note") if problem else None,
        section("Of loadlab.toml", *_of_config(rows)),
        section("Only in the store", *_others(source, others)),
        html.P(["What works at a target: ", html.Code("loadlab targets test NAME")], className="note"),
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page but by navigating."""


def _configured() -> tuple[dict[str, Any], str]:
    """[targets] of the loadlab.toml where the dashboard was started, or why it cannot be read."""
    try:
        return dict(config.load().get("targets", {})), ""
    except LoadlabError as error:
        return {}, str(error)


def _none() -> html.Div:
    return empty(
        "No target is named in loadlab.toml and nothing was run yet. A target is a name for an endpoint:",
        ('[targets.local]\nurl = "http://127.0.0.1:8000/v1"\nmodel = "NAME"\nprice = "cpu-hour"',),
        html.P(["Then: ", html.Code("loadlab targets test local")]),
    )


def _answer(named: int, ran: list[dict[str, Any]]) -> str:
    places = len({(each["target"], each["url"], each["model"]) for each in ran})
    return f"{counted(named, 'target')} in loadlab.toml; {counted(places, 'endpoint')} were run against."


def _of_config(rows: list[dict[str, Any]]) -> list[Any]:
    if not rows:
        return [html.P(["None. ", html.Code("[targets.NAME]"), " names an endpoint."])]
    return [table(_COLUMNS, rows, "Targets of loadlab.toml")]


def _others(source: Source, others: list[dict[str, Any]]) -> list[Any]:
    if not others:
        return [html.P("None: every endpoint that was run against has a name in loadlab.toml.")]
    shown = others[:50]
    rows = [
        {
            "name": each["target"],
            "model": each["model"],
            "url": each["url"],
            "price": "–",
            **_last(source, each["target"], each["model"], each["runs"]),
        }
        for each in shown
    ]
    more = len(others) - len(shown)
    notes = [html.P(f"{more} older ones are not listed.", className="note")] if more > 0 else []
    return [table(_COLUMNS, rows, "Endpoints that only the store knows"), *notes]


def _named(source: Source, name: str, entry: Any, ran: list[dict[str, Any]]) -> dict[str, Any]:
    told = entry if isinstance(entry, dict) else {}
    runs = sum(each["runs"] for each in ran if each["target"] == name)
    return {
        "name": name,
        "model": told.get("model") or "–",
        "url": told.get("url") or told.get("profile") or "–",
        "price": told.get("price") or "of its model, if known",
        **_last(source, name, None, runs),
    }


def _last(source: Source, target: str, model: str | None, runs: int) -> dict[str, Any]:
    exact = {"target": target, **({"model": model} if model else {})}
    found, _ = source.store.runs_page(Sought(exact=exact), 0, 1)
    if found.empty:
        return {"runs": "0", "last": "never", "failed": "–", "health": "– never run"}
    run = found.iloc[0]
    n, failed = int(run["n_requests"]), int(run["n_failed"])
    at = minute(run["started_at_ns"])
    return {
        "runs": dcc.Link(f"{runs:,}", href=f"/runs{url.write(exact)}"),
        "last": [
            html.Div(run_link(run["id"], html.Span(at, className="once"))),
            html.Div(ago(run["started_at_ns"]), className="below"),
        ],
        "failed": f"{number(100 * failed / n)} % of {n:,}" if n else "–",
        "health": [html.Div(_health(n, failed)), html.Div(verdict(standing(run)), className="below")],
    }


def _health(n: int, failed: int) -> str:
    if not n:
        return "✕ nothing was answered"
    if failed == n:
        return "✕ every request failed"
    return "✓ answers" if failed <= n / 100 else "! some requests fail"
