"""A capacity plan as a report: the answer, what it rests on, a day, what moves it, own replicas or an API."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from loadlab.core.units import number
from loadlab.figures import planning
from loadlab.figures.parts import Cell, Chart, Code, Column, Facts, Heading, Items, Paragraph, Table
from loadlab.figures.parts import Part as DocumentPart
from loadlab.planner import Part, Plan, frames
from loadlab.planner.answer import what_to_measure
from loadlab.reports import plan as words
from loadlab.reports.level_parts import footnote
from loadlab.reports.plan_document import document
from loadlab.reports.report import Report

DRAWN = ("static", "scheduled", "reactive")
Parts = Iterator[DocumentPart]


def capacity_report(plan: Plan) -> Report:
    """The report of a plan; `values` are those of `loadlab plan --json`."""
    names = ", ".join(dict.fromkeys(part.measured.spec.endpoint.model for part in plan.parts))
    values = {"plan": document(plan)}
    return Report(f"Capacity plan: {names}", list(_parts(plan)), _footnote(plan), values)


def _footnote(plan: Plan) -> str:
    seen = [each for part in plan.parts for step in part.measured.steps for each in step.seen]
    runs = {each.id: each for each in seen}.values()
    return footnote([each.summary for each in runs], [each.environment for each in runs])


def _parts(plan: Plan) -> Parts:
    yield Paragraph.of(words.answer(plan), kind="lead")
    yield Facts([(name, text) for name, text in words.rows(plan) if name != "measure next"])
    for part in plan.parts:
        if command := what_to_measure(part):
            yield Paragraph.of("To know it better:", Code(command), kind="note")
    yield Heading("Replicas by peak load")
    yield _steps(plan)
    yield Heading("What one replica holds")
    for place, part in enumerate(plan.parts):
        yield _requirement(part, place)
    yield from _day(plan)
    yield Heading("What moves the answer")
    yield _levers(plan)
    yield Heading("Own replicas or an API")
    yield from _even(plan)
    yield Heading("Descriptions and what-ifs that are not in the answer")
    yield Items(words.aid_words(plan))


def _steps(plan: Plan) -> Chart:
    drawn, unit = frames.steps(plan), plan.demand.unit
    last = drawn.drop_duplicates("replicas", keep="last")
    rows: list[list[Cell]] = [
        [f"{number(row['peak'])} {unit}", f"{row['replicas']:,.0f}", f"{row['fewest']:,.0f}"]
        for row in last.to_dict("records")
    ]
    columns = [Column("Up to"), Column("Replicas"), Column("By the high end")]
    finding = f"{plan.replicas} replicas at {words.peak_words(plan)}; up to twice that peak."
    chosen = (plan.demand.peak, plan.replicas)
    return Chart(
        "replicas",
        finding,
        lambda theme: planning.replica_steps(drawn, chosen, unit, theme),
        _table("Replicas by peak load", columns, rows, drawn),
    )


def _requirement(part: Part, place: int) -> Chart:
    found, fit, drawn = part.found, frames.binding(part), frames.points(part)
    ends = (found.low, found.load, found.high)
    curve, unit, told = frames.curve(part), part.measured.unit, fit.criterion.words
    rows: list[list[Cell]] = [
        [row["offered"], f"{row['answers']:,}", str(row["repeats"]), number(row["share"]),
         f"{number(row['low'])} … {number(row['high'])}"]
        for row in drawn.to_dict("records")
    ]  # fmt: skip
    columns = [
        Column("Load on one replica", False), Column("n"), Column("Repeats"), Column("Share of the limit"),
        Column("90 % interval"),
    ]  # fmt: skip
    finding = f"{part.measured.name} holds {words.capacity_words(part)}; {words.limit_words(part)}."
    return Chart(
        f"requirement-{place}",
        finding,
        lambda theme: planning.requirement(curve, drawn, ends, unit, told, theme),
        _table("Measured loads", columns, rows, drawn),
    )


def _day(plan: Plan) -> Parts:
    if not plan.courses:
        return
    yield Heading("A day: fixed, scheduled, autoscaled")
    yield Paragraph.of(
        "A what-if by the minute: what exceeds the replicas queues, a new one serves after its cold start.",
        kind="note",
    )
    columns = [Column(head, at > 0) for at, head in enumerate(words.COURSE_HEADS)]
    yield Table("Policies over the day", columns, words.course_rows(plan))
    drawn = frames.day(plan)
    low, high = float(drawn["demand"].min()), float(drawn["demand"].max())
    finding = f"Demand from {number(low)} to {number(high)} req/s, and what each policy holds."
    yield Chart("day", finding, lambda theme: planning.daily_profile(drawn, DRAWN, theme))


def _levers(plan: Plan) -> Chart:
    drawn = frames.levers(plan)
    rows: list[list[Cell]] = [
        [lever.name, f"{lever.low:,}", lever.low_words, f"{lever.high:,}", lever.high_words]
        for lever in plan.levers
    ]
    columns = [
        Column("What changes", False), Column("Fewest"), Column("at", False), Column("Most"),
        Column("at", False),
    ]  # fmt: skip
    first = plan.levers[0]
    return Chart(
        "levers",
        f"{first.name} moves the answer most: {first.low} to {first.high} replicas.",
        lambda theme: planning.tornado(drawn, plan.replicas, theme),
        _table("What moves the answer, one thing at a time", columns, rows, drawn),
    )


def _even(plan: Plan) -> Parts:
    even = plan.even
    if even is None:
        yield Paragraph.of(f"Nothing to compare: {plan.no_even}.")
        return
    told, drawn = words.even_words(even), frames.even(even)
    yield Chart(
        "even",
        told[0],
        lambda theme: planning.break_even(
            drawn, even.mtok_per_month, even.cheaper_from, even.api.name, theme
        ),
    )
    yield Items(told)


def _table(caption: str, columns: list[Column], rows: list[list[Cell]], drawn: pd.DataFrame) -> Table:
    return Table(caption, columns, rows, csv=drawn.to_csv(index=False))
