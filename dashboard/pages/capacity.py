"""Capacity planner: how many replicas, GPUs and dollars the measured sweep means for your traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dash import Dash, Input, Output, State, html, no_update

from loadlab import planner
from loadlab.core import config
from loadlab.core.errors import LoadlabError
from loadlab.core.units import number, usd
from loadlab.figures import LIGHT, THEMES, Theme, planning
from loadlab.planner import Plan, frames
from loadlab.planner.answer import what_to_measure
from loadlab.reports import plan as words

from .. import url
from ..components import Column, chart, empty, facts, page, section, table, tiles
from ..empty import no_runs
from ..planning import EXAMPLE, Choice
from ..planning_controls import controls
from ..source import Source

PATH = "/capacity"
TITLE = "Capacity"
HEADING = "Capacity planner"
OFFERED_RUNS = 50
_CONTROLS = (
    "peak",
    "unit",
    "slo",
    "headroom",
    "spare",
    "growth",
    "price",
    "api",
    "node",
    "gpus",
    "cold",
    "day",
)
_DRAWN = ("static", "scheduled", "reactive")
_LEVER = (
    Column("What changes", "name", number=False), Column("Fewest", "low"),
    Column("at", "low_words", number=False), Column("Most", "high"),
    Column("at ", "high_words", number=False),
)  # fmt: skip
_POINT = (
    Column("Load on one replica", "offered", number=False),
    Column("n", "answers", help="Successful requests"), Column("Repeats", "repeats"),
    Column("Share of the limit", "share"), Column("90 % interval", "interval"),
)  # fmt: skip
_STEP = (Column("Up to", "peak"), Column("Replicas", "replicas"), Column("By the high end", "fewest"))
_EVEN = (Column("Mtok a month", "mtok"), Column("Own $", "own"), Column("API $", "api"))


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The page for the parameters of `planning.Choice`; each has a default."""
    runs = source.runs(limit=OFFERED_RUNS)
    if not runs:
        return page(HEADING, None, no_runs(source, "sweep", "--rate 1,2,4,8 --requests 3000"))
    choice = _chosen(source, runs, Choice.read(query))
    return page(
        HEADING,
        None,
        controls(source, runs, choice),
        html.Div(_content(source, theme, choice), id="capacity-content"),
        about=", ".join(choice.runs),
    )


def register(app: Dash, source: Source) -> None:
    """A changed control plans again and writes the URL; the controls themselves stay as they are."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("capacity-content", "children"),
        Output("url", "search", allow_duplicate=True),
        Output("shown", "data", allow_duplicate=True),
        Input("capacity-runs", "value"),
        *(Input(f"capacity-{name}", "value") for name in _CONTROLS),
        State("shown", "data"),
        prevent_initial_call=True,
    )
    def again(runs: list[str], *values: Any) -> Any:
        *given, shown = values
        drawn = _chosen(source, source.runs(limit=OFFERED_RUNS), Choice.read(url.read(shown["search"])))
        choice = drawn.changed(runs, **dict(zip(_CONTROLS, given, strict=True)))
        if choice == drawn:  # the controls were just laid out
            return no_update, no_update, no_update
        content = _content(source, THEMES.get(shown["theme"], LIGHT), choice)
        return content, choice.search, {**shown, "search": choice.search}


def _chosen(source: Source, runs: Sequence[Mapping[str, Any]], choice: Choice) -> Choice:
    """With full run ids; without `runs` the newest sweep, or the newest run."""
    if choice.runs:
        return replace(choice, runs=tuple(source.run(ref).id for ref in choice.runs))
    sweeps = [run["id"] for run in runs if run["n_levels"] > 1]
    return replace(choice, runs=((sweeps or [runs[0]["id"]])[0],))


def _content(source: Source, theme: Theme, choice: Choice) -> list[Any]:
    if not choice.runs:
        return [empty("No run is chosen. Pick a sweep above.")]
    try:
        measured = source.measured(choice.runs)
        settings = config.load()
        plan = planner.plan([(1.0, measured)], choice.demand(measured), choice.ask(measured, settings))
    except LoadlabError as error:
        return [refusal(str(error))]
    return [
        html.P(words.answer(plan), className="answer"),
        _tiles(plan),
        html.Div([_steps(plan, theme), _requirement(plan, theme)], className="pair"),
        _day(plan, choice, theme),
        html.Div([_levers(plan, theme), _even(plan, theme)], className="pair"),
        _basis(plan),
    ]


def refusal(message: str) -> html.Div:
    """Why there is no answer, its command on lines of its own."""
    why, *commands = message.split("\n")
    return empty(why, [command.strip() for command in commands if command.strip()])


def _tiles(plan: Plan) -> html.Div:
    sized = plan.parts[0].sized
    spread = (
        "by both ends of the interval" if plan.fewest == plan.replicas else f"{plan.fewest} by the high end"
    )
    nodes = "" if plan.nodes is None else f"in {plan.nodes:,} nodes"
    lost = f"{words.percent(sized.degraded)} with {sized.spare} lost" if sized.spare else "no spare"
    over_day = plan.usd_per_mtok(plan.mean_share) if plan.mean_share else None
    mean = f"{usd(over_day)} over the day" if over_day else "best case: idle hours cost more"
    return tiles(
        ("Replicas", f"{plan.replicas:,}", spread),
        ("GPUs", f"{plan.gpus:,}", nodes or f"{sized.gpus_per_replica} per replica"),
        (
            "Cost",
            words.dollars(plan.usd_per_month),
            "a month" if plan.usd_per_month else "give a price above",
        ),
        ("$/Mtok output at the peak", usd(plan.usd_per_mtok()), mean),
        ("Utilisation at the peak", words.percent(sized.utilisation), lost),
        (
            "One replica holds",
            f"{number(sized.per_replica)} {sized.unit}",
            "at least: no load missed the SLO"
            if plan.parts[0].found.at_least
            else f"{number(sized.point)} likely",
        ),
    )


def _steps(plan: Plan, theme: Theme) -> html.Section:
    drawn = frames.steps(plan)
    unit = plan.demand.unit
    figure = planning.replica_steps(drawn, (plan.demand.peak, plan.replicas), unit, theme)
    last = drawn.drop_duplicates("replicas", keep="last")
    rows = [{**row, "peak": f"{number(row['peak'])} {unit}"} for row in _records(last)]
    finding = f"Replicas by peak load: {plan.replicas} at {words.peak_words(plan)}."
    return section(
        "Replicas by peak load",
        chart("replicas", figure, finding, table(_STEP, rows, "Replicas by peak load"), drawn),
        note="Up to twice your peak: more traffic is more replicas, each at a load that was measured.",
    )


def _requirement(plan: Plan, theme: Theme) -> html.Section:
    part = plan.parts[0]
    found, fit = part.found, frames.binding(part)
    drawn = frames.points(part)
    figure = planning.requirement(
        frames.curve(part),
        drawn,
        (found.low, found.load, found.high),
        part.measured.unit,
        fit.criterion.words,
        theme,
    )
    rows = [
        {**row, "share": number(row["share"]), "interval": f"{number(row['low'])} … {number(row['high'])}"}
        for row in _records(drawn)
    ]
    finding = f"One replica holds {words.capacity_words(part)}; {words.limit_words(part)}."
    note = f"{fit.criterion.words}: at 1 it is just kept. Shaded: where the capacity lies, 90 %."
    return section(
        "What one replica holds",
        chart("requirement", figure, finding, table(_POINT, rows, "Measured loads"), drawn),
        note=note,
    )


def _day(plan: Plan, choice: Choice, theme: Theme) -> html.Section:
    title = "A day: fixed, scheduled, autoscaled"
    if not plan.courses:
        why = "A day is given in requests per second. Put 24 rates above, or count the peak in req/s."
        return section(
            title, empty(why, ("loadlab plan latest --day 2,1,1,1,2,3,5,8,9,9,9,9,9,9,9,8,8,7,6,5,4,3,3,2",))
        )
    drawn = frames.day(plan)
    heads = [Column(head, head, number=at > 0) for at, head in enumerate(words.COURSE_HEADS)]
    rows = [dict(zip(words.COURSE_HEADS, row, strict=True)) for row in words.course_rows(plan)]
    best = min(plan.courses[1:3], key=lambda course: course.replica_hours)
    static = plan.courses[0].replica_hours
    finding = f"{best.policy} takes {best.replica_hours:.0f} replica-hours, static {static:.0f}."
    shape = "The day is an example shape; put your own 24 rates above. " if choice.day == EXAMPLE else ""
    note = f"{shape}What exceeds the replicas queues; a new replica serves after its cold start. A what-if."
    figure = planning.daily_profile(drawn, _DRAWN, theme)
    hourly = drawn.iloc[:: max(1, len(drawn) // 96)]
    return section(
        title,
        table(heads, rows, "Policies over the day"),
        chart("day", figure, finding, _hours(plan, hourly), drawn),
        note=note,
    )


def _hours(plan: Plan, drawn: Any) -> html.Div:
    columns = [Column("Hour", "hour"), Column("Demand, req/s", "demand")]
    columns += [Column(f"{name} holds", name) for name in _DRAWN]
    hours = drawn[drawn["hour"] % 1 == 0]
    rows = [{key: number(float(value)) for key, value in row.items()} for row in _records(hours)]
    return table(columns, rows, "Demand and capacity by the hour")


def _levers(plan: Plan, theme: Theme) -> html.Section:
    drawn = frames.levers(plan)
    first = plan.levers[0]
    finding = f"{first.name} moves the answer most: {first.low} to {first.high} replicas."
    note = "One thing changed at a time. Other prompt and answer lengths need a sweep of their own."
    return section(
        "What moves the answer",
        chart("levers", planning.tornado(drawn, plan.replicas, theme), finding,
              table(_LEVER, _records(drawn), "What moves the answer"), drawn),
        note=note,
    )  # fmt: skip


def _even(plan: Plan, theme: Theme) -> html.Section:
    title = "Own replicas or an API"
    if not plan.ask.api_price:
        why = "Name an API above, such as openai/gpt-5-mini, to see from which volume own replicas cost less."
        return section(title, empty(why))
    if plan.even is None:
        return section(title, empty(f"Nothing to compare: {plan.no_even}."))
    even, drawn = plan.even, frames.even(plan.even)
    figure = planning.break_even(drawn, even.mtok_per_month, even.cheaper_from, even.api.name, theme)
    told = words.even_words(even)
    thin = drawn.iloc[:: len(drawn) // 12]
    rows = [{key: number(float(value)) for key, value in row.items()} for row in _records(thin)]
    return section(
        title,
        chart("even", figure, " ".join(told), table(_EVEN, rows, "Cost by volume"), drawn),
        html.Ul([html.Li(line) for line in told]),
    )


def _records(drawn: Any) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in drawn.to_dict("records")]


def _basis(plan: Plan) -> html.Section:
    part = plan.parts[0]
    rows = [(name, text) for name, text in words.rows(plan) if name != "measure next"]
    command = what_to_measure(part)
    measure = (
        [empty("To know it better, measure inside or beyond the bracket:", (command,))] if command else []
    )
    aids = html.Details([html.Summary("Descriptions and what-ifs that are not in the answer"),
                         html.Ul([html.Li(text) for text in words.aid_words(plan)])])  # fmt: skip
    return section("What the answer rests on", facts(rows), *measure, aids)
