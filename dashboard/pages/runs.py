"""Runs: every run of the store, by the page, found and ordered through the URL, picked to be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from loadlab.core.errors import LoadlabError, UsageError
from loadlab.core.units import number
from loadlab.figures import MAX_SERIES, Theme
from loadlab.store import Sought

from .. import url
from ..access import may_change, require_operator
from ..choosing import chips
from ..components import Column, empty, page, section, table, verdict
from ..empty import no_runs
from ..links import compare_path, run_link, tradeoff_path
from ..moments import minute
from ..source import Source, host, short_id
from ..words import counted, standing

PATH = "/runs"
TITLE = "Runs"
ROWS = 50
KEYS = ("q", "verdict", "state", "target", "scenario", "sort", "page", "pick")
_SORTED = {"run": "started", "scenario": "scenario", "target": "target", "verdict": "verdict"}
_COLUMNS = (
    Column("Pick", "pick", number=False, help="Picked runs can be compared"),
    Column("Run (UTC)", "run", number=False),
    Column("Scenario and label", "scenario", number=False),
    Column("Target and model", "target", number=False),
    Column("Levels", "levels"),
    Column("Requests", "requests"),
    Column("Failed", "failed"),
    Column("Verdict", "verdict", number=False),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """Fifty runs; `q`, `verdict`, `state`, `target`, `scenario`, `sort`, `page` and `pick` say which."""
    kept = {key: query.get(key) for key in KEYS}
    at = _page_number(kept)
    runs, total = source.store.runs_page(_sought(kept), (at - 1) * ROWS, ROWS)
    if not total and not any(kept.values()):
        return page(TITLE, None, no_runs(source, "run", "--users 8 --requests 96"))
    rows = [{str(key): row[key] for key in row} for row in runs.to_dict("records")]
    return page(
        TITLE,
        _answer(source, total, kept),
        _controls(kept),
        _picked(kept),
        section("Runs", *_table(rows, kept), _pager(at, total, kept)),
    )


def register(app: Dash, source: Source) -> None:
    """Words typed into the search become part of the URL; everything else is a link."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("url", "search", allow_duplicate=True),
        Input("runs-words", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def search(words: str, shown: str) -> Any:
        query = url.read(shown)
        if (words or "").strip() == query.get("q", ""):
            return no_update
        return url.write({**query, "q": words.strip(), "page": None})

    @app.callback(  # type: ignore[untyped-decorator]
        Output("runs-pinned", "children"),
        Input("runs-pin", "n_clicks"),
        State("runs-baseline", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def press(clicks: int | None, name: str, shown: str) -> Any:
        return _said(source, name, url.names(url.read(shown).get("pick"))) if clicks else no_update


def _said(source: Source, name: str, refs: Sequence[str]) -> str:
    try:
        return pin(source, name, refs)
    except LoadlabError as error:
        return f"✕ {error}"


def _sought(kept: Mapping[str, str | None]) -> Sought:
    sort = kept.get("sort") or "-started"
    exact = {key: value for key in ("verdict", "state", "target", "scenario") if (value := kept.get(key))}
    return Sought(kept.get("q") or "", exact, sort.removeprefix("-"), ascending=not sort.startswith("-"))


def _page_number(kept: Mapping[str, str | None]) -> int:
    text = kept.get("page") or "1"
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


def _answer(source: Source, total: int, kept: Mapping[str, str | None]) -> str:
    filtered = any(kept.get(key) for key in ("q", "verdict", "state", "target", "scenario"))
    found = counted(total, "run")
    return f"{found} match what is asked for." if filtered else f"{found} stored in {source.where}."


def _controls(kept: Mapping[str, str | None]) -> html.Div:
    verdicts = [("", "all"), *((word, word) for word in ("VALID", "SUSPECT", "INVALID"))]
    states = [("", "all"), *((word, word) for word in ("finished", "running", "interrupted"))]
    unpaged = {**kept, "page": None}
    exact = [
        chips(name.capitalize(), PATH, unpaged, name, [("", "all"), (value, value)])
        for name in ("target", "scenario")
        if (value := kept.get(name))
    ]
    return html.Div(
        [
            dmc.TextInput(
                id="runs-words", value=kept.get("q") or "", debounce=500, w=320,
                placeholder="Words of id, scenario, label, target, model",
                **{"aria-label": "Find runs by words"},
            ),
            chips("Verdict", PATH, unpaged, "verdict", verdicts),
            chips("State", PATH, unpaged, "state", states),
            *exact,
        ],
        className="choices",
    )  # fmt: skip


def _picked(kept: Mapping[str, str | None]) -> Any:
    picked = url.names(kept.get("pick"))
    if not picked:
        return None
    compare = (
        dcc.Link(f"Compare {counted(len(picked), 'run')}", href=compare_path(picked), className="button-link")
        if len(picked) > 1
        else html.Span("Pick another one to compare. ", className="note")
    )
    curve = dcc.Link("Throughput vs latency", href=tradeoff_path(picked), className="button-link")
    clear = dcc.Link("Unpick all", href=PATH + url.write({**kept, "pick": None}))
    base = html.Span(["The base is ", html.Code(short_id(picked[0])), "."])
    most = html.Span(f"Figures draw {MAX_SERIES} at most.") if len(picked) > MAX_SERIES else None
    return html.Div([base, compare, curve, clear, most, *_pin()], className="picked")


def _pin() -> list[Any]:
    """For operators: the picked runs become a baseline that gates compare with."""
    if not may_change():
        return []
    return [
        dmc.TextInput(id="runs-baseline", value="main", w=120, **{"aria-label": "Name of the baseline"}),
        html.Button("Pin as baseline", id="runs-pin", type="button", className="button"),
        html.Span(id="runs-pinned", role="status"),
    ]


def pin(source: Source, name: str, refs: Sequence[str]) -> str:
    """Makes runs the baseline of that name and says so. Raises ReadOnlyError, UsageError or NoDataError."""
    require_operator()
    if not (name or "").strip() or not refs:
        raise UsageError("a baseline needs a name and at least one picked run.")
    for ref in refs:
        if source.summary(ref).run["verdict"] == "INVALID":
            raise UsageError(f"run {ref} is INVALID and no baseline.")
    ids = [source.run(ref).id for ref in refs]
    source.store.set_baseline(name.strip(), ids, "pinned in the dashboard")
    return f"✓ baseline {name.strip()} is {counted(len(ids), 'run')} now"


def _table(rows: Sequence[dict[str, Any]], kept: Mapping[str, str | None]) -> list[Any]:
    if not rows:
        clear = dcc.Link("Clear the filters", href=PATH)
        return [empty("No run matches.", (), clear)]
    columns = [_head(column, kept) for column in _COLUMNS]
    return [table(columns, [_row(run, kept) for run in rows], "Runs")]


def _head(column: Column, kept: Mapping[str, str | None]) -> Column:
    """A head that orders by its column; once more turns the order around."""
    order = _SORTED.get(column.key)
    if order is None:
        return column
    now = kept.get("sort") or "-started"
    turned = order if now == f"-{order}" else f"-{order}"
    mark = {f"-{order}": " ↓", order: " ↑"}.get(now, "")
    link = dcc.Link(f"{column.head}{mark}", href=PATH + url.write({**kept, "sort": turned, "page": None}))
    return Column(link, column.key, column.number, column.help)


def _row(run: Mapping[str, Any], kept: Mapping[str, str | None]) -> dict[str, Any]:
    picked = url.names(kept.get("pick"))
    chosen = run["id"] in picked
    after = [ref for ref in picked if ref != run["id"]] if chosen else [*picked, run["id"]]
    failed, n = int(run["n_failed"]), int(run["n_requests"])
    return {
        "pick": dcc.Link(
            "☑" if chosen else "☐",
            href=PATH + url.write({**kept, "pick": ",".join(after)}),
            className="pick",
            title=f"{'Unpick' if chosen else 'Pick'} {run['id']}",
        ),
        "run": [
            html.Div(run_link(run["id"], html.Span(minute(run["started_at_ns"]), className="once"))),
            html.Div(short_id(run["id"]), className="below once"),
        ],
        "scenario": [html.Div(run["scenario"]), html.Div(run["label"], className="below")],
        "target": [
            html.Div(run["target"]),
            html.Div(f"{run['model']} on {host(run['url'])}", className="below"),
        ],
        "levels": f"{run['n_levels']:,}",
        "requests": f"{n:,}",
        "failed": f"{number(100 * failed / n)} %" if n else "–",
        "verdict": verdict(standing(run)),
        "class": "row-picked" if chosen else None,
    }


def _pager(at: int, total: int, kept: Mapping[str, str | None]) -> Any:
    last = max(1, math.ceil(total / ROWS))
    if last == 1:
        return None
    spots = sorted({1, max(1, at - 1), at, min(last, at + 1), last})
    links = [
        html.Strong(f"{spot}")
        if spot == at
        else dcc.Link(f"{spot}", href=_to(spot, kept), title=f"page {spot}")
        for spot in spots
    ]
    ends = [
        dcc.Link("‹ newer", href=_to(at - 1, kept)) if at > 1 else None,
        *links,
        dcc.Link("older ›", href=_to(at + 1, kept)) if at < last else None,
    ]
    return html.Nav(ends, className="pager", **{"aria-label": "Pages of runs"})


def _to(spot: int, kept: Mapping[str, str | None]) -> str:
    return PATH + url.write({**kept, "page": None if spot == 1 else str(spot)})
