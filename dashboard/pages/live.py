"""Live: a run while it lasts. Is it healthy, should it be stopped? Once a second the page asks for news."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update

from loadlab.figures import LIGHT, THEMES, Theme
from loadlab.figures.live import extension, live
from loadlab.figures.slo import DEFAULT

from ..choosing import chips, only
from ..components import chart, empty, page, section
from ..follow import KEPT_A_SECOND, Follower
from ..links import live_path, run_link
from ..live_parts import banner, failures, progress, strip
from ..source import Source, host, run_name

PATH = "/live"
TITLE = "Live"
GROUP = "Monitor"
TICK_MS = 1000
MOST_POINTS = 600
WINDOWS = {"60": "1 minute", "300": "5 minutes", "": "all of it"}


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The run under way, the newest where there are several; `window` is how much of it is drawn."""
    running = source.running()
    if not running:
        return _nothing(source)
    others = [html.Li(html.A(run_name(run), href=live_path(run["id"]))) for run in running[1:]]
    also = section("Also under way", html.Ul(others)) if others else None
    return followed(source, theme, query, running[0]["id"], also)


def followed(source: Source, theme: Theme, query: Mapping[str, str], run_id: str, more: Any = None) -> Any:
    """The page of one run under way (full id)."""
    run = source.run(run_id)
    follower = source.follow(run_id)
    follower.look()
    window = query.get("window", "")
    state = {"run": run_id, **_begin(follower, window if window in WINDOWS else "")}
    bins = follower.bins(state["width"], state["first"])
    state["next"] = state["first"] + len(bins) * state["width"]
    drawn = chart(
        "live", live(bins, DEFAULT[0].value, theme, gpu=state["gpu"]),
        "Requests, latency, output, GPU and load generator of the run under way, second by second.",
    )  # fmt: skip
    return page(
        f"Live: {run.spec.scenario} on {run.spec.endpoint.model}",
        f"Run {run_id} sends to {host(run.spec.endpoint.url)}.",
        html.Div(banner(follower), id="live-banner", role="status"),
        html.Div(strip(source, run, follower), id="live-strip"),
        html.Div(
            [
                chips("Window", live_path(run_id), only(query, "window"), "window", WINDOWS.items()),
                html.Button("Pause", id="live-pause", type="button", className="button"),
                html.Span(id="live-progress", children=progress(follower), className="note"),
                run_link(run_id, "Run detail"),
            ],
            className="choices",
        ),
        section("Second by second", drawn),
        section("Failures", html.Div(failures(follower), id="live-failures")),
        more,
        dcc.Store(id="live-state", data=state),
        dcc.Interval(id="live-tick", interval=TICK_MS),
        about=f"run {run_id}, under way; percentiles of at most {KEPT_A_SECOND} samples a second",
    )  # fmt: skip


def _begin(follower: Follower, window: str) -> dict[str, Any]:
    """Where drawing begins and how wide a bin is, so that at most 600 points stand there."""
    begun: dict[str, Any] = {
        "window": window,
        "gpu": follower.has("nvml"),
        "width": 1,
        "first": 0,
        "most": MOST_POINTS,
    }
    if window:
        return {**begun, "first": max(0, int(follower.clock_s) - int(window)), "most": int(window)}
    while follower.clock_s / begun["width"] > MOST_POINTS:
        begun["width"] *= 2
    return begun


def register(app: Dash, source: Source) -> None:
    """One callback a second with what is new; pausing is the browser's own."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("figure-live", "extendData"),
        Output("figure-live", "figure"),
        Output("live-strip", "children"),
        Output("live-banner", "children"),
        Output("live-failures", "children"),
        Output("live-progress", "children"),
        Output("live-state", "data"),
        Output("live-tick", "max_intervals"),
        Input("live-tick", "n_intervals"),
        State("live-state", "data"),
        State("shown", "data"),
        prevent_initial_call=True,
    )
    def tick(_: int, state: dict[str, Any], shown: dict[str, str]) -> Any:
        return news(source, state, THEMES.get(shown["theme"], LIGHT))

    app.clientside_callback(
        ClientsideFunction("loadlab", "pause"),
        Output("live-tick", "disabled"),
        Output("live-pause", "children"),
        Input("live-pause", "n_clicks"),
        State("live-tick", "disabled"),
        prevent_initial_call=True,
    )


def news(source: Source, state: dict[str, Any], theme: Theme) -> tuple[Any, ...]:
    """What the browser of a `state` does not know yet, as the outputs of the tick."""
    run, follower = source.run(state["run"]), source.follow(state["run"])
    failed, behind = follower.failed, follower.behind
    follower.look()
    ended = run.state != "running"
    parts = (
        strip(source, run, follower),
        banner(follower),
        failures(follower) if follower.failed != failed else no_update,
        progress(follower),
    )
    full = not state["window"] and follower.clock_s / state["width"] > MOST_POINTS
    if behind or full or follower.has("nvml") != state["gpu"]:
        begun = _begin(follower, state["window"])
        bins = follower.bins(begun["width"], begun["first"])
        drawn: tuple[Any, Any] = (no_update, live(bins, DEFAULT[0].value, theme, gpu=begun["gpu"]))
    else:
        begun = {**state, "first": state["next"]}
        bins = follower.bins(begun["width"], begun["first"])
        drawn = (extension(bins, begun["most"], gpu=begun["gpu"]) if len(bins) else no_update, no_update)
    after = {**state, **begun, "next": begun["first"] + len(bins) * begun["width"]}
    return (*drawn, *parts, after, 0 if ended else no_update)


def _nothing(source: Source) -> Any:
    last = source.runs(limit=1)
    load = "--url http://127.0.0.1:8000/v1 --model NAME --users 8 --duration 5m"
    ask = f"loadlab run chat {load} --db {source.where}"
    words = "No run is under way in this store. Start one, then open this page again:"
    ended = [html.P(["The last one: ", run_link(last[0]["id"], run_name(last[0])), "."])] if last else []
    return page(TITLE, None, empty(words, (ask,), *ended))
