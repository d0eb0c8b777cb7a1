"""Throughput versus latency: which load holds the SLO, how much comes out, what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
import pandas as pd
from dash import Dash, Input, Output, State, dcc, html, no_update

from loadlab.figures import LIGHT, MAX_SERIES, THEMES, Theme, cost_curve, tradeoff
from loadlab.figures.answers import answer, figure_words
from loadlab.figures.axes import SCALES, X_CHOICES, Y_CHOICES, axis
from loadlab.figures.marks import COST
from loadlab.figures.slo import MAX_ERROR_RATE, Limit

from .. import url
from ..choice import LIMITED, SHOWN, STATS, Choice, split
from ..components import Column, chart, empty, page, section, table
from ..empty import no_runs
from ..levels import MEASURED, OFFERED, SLO, VERDICT, held_row, level_rows
from ..links import run_link
from ..prices import price_words
from ..shaping import GOODPUT, Shaped, request_limits
from ..source import Source, distinct_names, host, run_name
from ..words import counted

PATH = "/tradeoff"
TITLE = "Throughput vs latency"
OFFERED_RUNS = 50
_SHAPED = Shaped()
_SHOWN_WORDS = {"dominated": "Dominated points", "intervals": "95 % intervals"}
_NOTE = (
    "Each point is one measured load; the number beside it is its users, or its requests per second. The "
    "line is the best measured at or better than each value across. Faded points are beaten on both "
    "axes, hollow ones are INVALID. "
)
_RUN = Column("Run", "run", number=False)
_AT_SLO = (
    _RUN,
    Column("Holds up to", "holds", number=False, help="Below it: what the next measured load did"),
    Column("Headroom", "spare", help="From the limit that is nearest, in percent of it"),
    *MEASURED[1:6],
)
_LEVELS = (_RUN, OFFERED, *MEASURED, SLO, VERDICT)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The page for `runs`, `slo`, `x` and `y`; each has a default."""
    runs = source.runs(limit=OFFERED_RUNS)
    if not runs:
        return page(TITLE, None, no_runs(source, "sweep", "--users 1,2,4,8"))
    choice = _chosen(source, runs, query)
    return page(
        TITLE,
        None,
        _controls(runs, choice),
        html.Div(_content(source, theme, choice), id="tradeoff-content"),
    )


def register(app: Dash, source: Source) -> None:
    """A changed control redraws the figures and writes the URL; the controls themselves stay as they are."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("tradeoff-content", "children"),
        Output("url", "search", allow_duplicate=True),
        Output("shown", "data", allow_duplicate=True),
        Input("tradeoff-runs", "value"),
        Input("tradeoff-x", "value"),
        Input("tradeoff-y", "value"),
        *(Input(f"tradeoff-{metric}", "value") for metric in LIMITED),
        Input("tradeoff-stat", "value"),
        Input("tradeoff-scale", "value"),
        Input("tradeoff-shown", "value"),
        State("shown", "data"),
        prevent_initial_call=True,
    )
    def redraw(
        runs: list[str],
        x: str,
        y: str,
        ttft: Any,
        itl: Any,
        stat: str,
        scale: str,
        seen: list[str],
        shown: dict[str, str],
    ) -> Any:
        offered = source.runs(limit=OFFERED_RUNS)
        drawn = _chosen(source, offered, url.read(shown["search"]))
        choice = drawn.changed(runs, x, y, (ttft, itl), stat, scale, seen)
        if choice == drawn.of_runs(drawn.runs[:MAX_SERIES]):  # the controls were just laid out
            return no_update, no_update, no_update
        content = _content(source, THEMES.get(shown["theme"], LIGHT), choice)
        return content, choice.search, {**shown, "search": choice.search}


def _chosen(source: Source, runs: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> Choice:
    """What a URL asks for, with full run ids; without `runs` the newest sweep, or the newest run."""
    choice = Choice.read(query)
    if "runs" in query:  # of more than are drawn, the others are only counted
        drawn = [source.run(ref).id for ref in choice.runs[:MAX_SERIES]]
        return choice.of_runs([*drawn, *choice.runs[MAX_SERIES:]])
    sweeps = [run["id"] for run in runs if run["n_levels"] > 1]
    return choice.of_runs([(sweeps or [runs[0]["id"]])[0]])


def _controls(runs: Sequence[dict[str, Any]], choice: Choice) -> html.Div:
    names = {run["id"]: run_name(run) for run in runs}
    chosen = choice.runs[:MAX_SERIES]
    options = [{"value": ref, "label": names.get(ref, ref)} for ref in dict.fromkeys((*names, *chosen))]
    return html.Div(
        [
            dmc.MultiSelect(
                id="tradeoff-runs", label=f"Runs, at most {MAX_SERIES}", data=options,
                value=list(chosen),
                maxValues=MAX_SERIES, searchable=True, hidePickedOptions=True,
            ),
            _axis_select("x", "Across", choice.x, X_CHOICES),
            _axis_select("y", "Up", choice.y, Y_CHOICES),
            *(_limit_input(metric, choice) for metric in LIMITED),
            html.Div(
                [
                    _segments("stat", "Percentile of latencies", STATS, choice.stat),
                    _segments("scale", "Axes", SCALES, choice.scale),
                    dmc.CheckboxGroup(
                        dmc.Group([dmc.Checkbox(label=_SHOWN_WORDS[name], value=name) for name in SHOWN]),
                        id="tradeoff-shown", label="Show", value=[n for n in SHOWN if n not in choice.hidden],
                    ),
                ],
                className="choices controls-row",
            ),
        ],
        className="controls",
    )  # fmt: skip


def _segments(name: str, label: str, options: Sequence[str], value: str) -> html.Div:
    return html.Div(
        [
            html.Div(label, className="control-label"),
            dmc.SegmentedControl(
                id=f"tradeoff-{name}", data=[{"value": each, "label": each} for each in options], value=value,
                size="xs", **{"aria-label": label},
            ),
        ]
    )  # fmt: skip


def _axis_select(name: str, label: str, value: str, choices: Sequence[str]) -> dmc.Select:
    value = split(value)[0]
    columns = dict.fromkeys((*(split(column)[0] for column in choices), value))
    data = [{"value": column, "label": axis(column).short} for column in columns]
    return dmc.Select(id=f"tradeoff-{name}", label=label, data=data, value=value, allowDeselect=False)


def _limit_input(metric: str, choice: Choice) -> dmc.NumberInput:
    words = f"SLO: {axis(metric).brief} {choice.stat} ≤"
    return dmc.NumberInput(
        id=f"tradeoff-{metric}", label=words, value=choice.limit(metric) or "", min=0, suffix=" ms",
        placeholder="no limit", debounce=400, hideControls=True,
    )  # fmt: skip


def _content(source: Source, theme: Theme, choice: Choice) -> list[Any]:
    if not choice.runs:
        return [empty("No run is chosen. Pick one above.")]
    stored = [source.priced(ref) for ref in choice.runs[:MAX_SERIES]]
    names = dict(zip(choice.runs, distinct_names(stored), strict=False))
    named = {name: _SHAPED.curve(source, ref, choice) for ref, name in names.items()}
    return [
        html.Div([_answer(run, *pair, choice) for run, pair in zip(stored, named.items(), strict=True)]),
        _dropped(choice),
        section(
            f"{axis(choice.y).label} against {axis(choice.x).brief}",
            _tradeoff(named, choice, theme),
            note=_NOTE + _slo_note(choice),
        ),
        section("At the SLO", _held(names, named, choice.limits), note=_promise(choice.limits)),
        section("What a million output tokens cost", _costs(stored, named, choice, theme)),
    ]


def _answer(run: Any, name: str, curve: pd.DataFrame, choice: Choice) -> html.P:
    """With one run the sentence is about what was measured, with several about the run."""
    endpoint = run.spec.endpoint
    subject = name if len(choice.runs) > 1 else f"{endpoint.model} on {host(endpoint.url)}"
    return html.P(answer(subject, curve, choice.limits), className="answer")


def _slo_note(choice: Choice) -> str:
    """What the tint means, which limits goodput counts, what the bars are."""
    words = []
    if not choice.limits:
        words.append("No SLO is set.")
    elif any(limit.column in (choice.x, choice.y) for limit in choice.limits):
        words.append("The tint is where the SLO holds.")
    else:
        words.append("The SLO limits neither axis: the data table says which loads hold it.")
    if GOODPUT in (choice.x, choice.y):
        limits = request_limits(choice.limits).items()
        kept = ", ".join(f"{axis(name).brief} ≤ {axis(name).text(limit)}" for name, limit in limits)
        words.append(f"Goodput counts requests that succeeded{f' with {kept}' if kept else ''}.")
    if "intervals" not in choice.hidden and any(split(column)[1] for column in (choice.x, choice.y)):
        words.append("Bars are 95 % intervals of the percentile, from the requests of that one level.")
    return " ".join(words)


def _tradeoff(named: Mapping[str, pd.DataFrame], choice: Choice, theme: Theme) -> html.Div:
    x, y = choice.x, choice.y
    known = {name: curve for name, curve in named.items() if len(curve.dropna(subset=[x, y]))}
    if not known:
        return _unknown_axis(x, y)
    finding = " ".join(figure_words(name, curve, x, y) for name, curve in known.items())
    drawn = chart(
        "tradeoff",
        tradeoff(known, x, y, choice.limits, theme, choice.scale, "dominated" in choice.hidden),
        finding,
        _level_table(named, choice.limits),
        pd.concat([curve.assign(run=name) for name, curve in named.items()], ignore_index=True),
    )
    return html.Div([drawn, _more_levels(known)])


def _unknown_axis(x: str, y: str) -> html.Div:
    why = f"No level has both {axis(x).label} and {axis(y).label}: nothing succeeded, or it was not measured."
    if "output_tokens_per_s_per_gpu" not in (x, y):
        return empty(why)
    label = '[targets.NAME]\nlabels = { gpus = "4" }'
    return empty(f"{why} Where NVML cannot count the GPUs, a label of the target says how many:", (label,))


def _more_levels(known: Mapping[str, pd.DataFrame]) -> Any:
    if max(len(curve) for curve in known.values()) > 1:
        return None
    command = "loadlab sweep chat --url http://127.0.0.1:8000/v1 --model NAME --users 1,2,4,8,16"
    return empty("One level is a point, not a curve. A sweep measures several loads:", (command,))


def _level_table(named: Mapping[str, pd.DataFrame], limits: Sequence[Limit]) -> html.Div:
    rows = [{**row, "run": name} for name, curve in named.items() for row in level_rows(curve, limits)]
    return table(_LEVELS, rows, "Every measured level")


def _held(names: Mapping[str, str], named: Mapping[str, pd.DataFrame], limits: Sequence[Limit]) -> html.Div:
    if not limits:
        return empty("No SLO is set. Give a limit above to see the highest load that holds it.")
    rows = [
        {**held_row(named[name], limits), "run": run_link(ref, html.Span(name, className="once"))}
        for ref, name in names.items()
    ]
    return table(_AT_SLO, rows, "The highest load that holds the SLO")


def _promise(limits: Sequence[Limit]) -> str | None:
    if not limits:
        return None
    words = " and ".join(limit.words for limit in limits)
    return f"{words}, with at most {MAX_ERROR_RATE:g} % errors. Measured loads only: nothing is interpolated."


def _costs(
    stored: Sequence[Any], named: Mapping[str, pd.DataFrame], choice: Choice, theme: Theme
) -> html.Div:
    priced = {name: curve for name, curve in named.items() if curve[COST].notna().any()}
    words = zip(named, (price_words(run.price, run.unpriced) for run in stored), strict=True)
    bases = [
        html.P(f"{name}: {basis}" if len(stored) > 1 else basis, className="note") for name, basis in words
    ]
    if not priced:
        return html.Div([empty("No run here has a price. `loadlab run --price NAME` gives it one."), *bases])
    told = [figure_words(name, curve, "output_tokens_per_s", COST) for name, curve in priced.items()]
    figure = cost_curve(priced, choice.limits, theme)
    return html.Div([chart("cost", figure, " ".join(told), _level_table(priced, choice.limits)), *bases])


def _dropped(choice: Choice) -> Any:
    extra = len(choice.runs) - MAX_SERIES
    if extra <= 0:
        return None
    words = (
        f"{counted(extra, 'more run')} {'is' if extra == 1 else 'are'} asked for; {MAX_SERIES} at most are "
        "drawn, as no more can be told apart by colour, symbol and dash. Drawn are the first: choose others "
        "above, or find and pick runs in the list."
    )
    return empty(words, (), dcc.Link("Find runs", href="/runs"))
