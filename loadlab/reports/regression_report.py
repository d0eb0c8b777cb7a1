"""Regressions as a report: the incidents with their evidence, and the series they were found in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from loadlab import __version__
from loadlab.analysis.measures import parse
from loadlab.core.incident import Incident
from loadlab.figures import history as figures
from loadlab.figures.axes import quantity
from loadlab.figures.parts import Cell, Chart, Code, Column, Facts, Heading, Items, Paragraph, Part, Table
from loadlab.history import FEWEST_RUNS, Found, Kind, Seen, look
from loadlab.reports.history import incident_document, percent, series_document, suspects, when
from loadlab.reports.report import Report

_NOTE = (
    "Dots are VALID runs with their own 95 % interval; the line is the median between steps, the band two "
    "standard deviations of runs. Rules are steps, dotted where only one of two opinions supports them; "
    "triangles mark what else changed."
)
_METRICS = (
    Column("Metric", False),
    Column("Before"),
    Column("After"),
    Column("Change"),
    Column("Runs"),
    Column("p"),
)
_WATCHED = (
    Column("Metric", False), Column("Runs"), Column("Now"), Column("Scatter"), Column("+10 % found in"),
    Column("Last step", False),
)  # fmt: skip


def regression_report(store: Any, where: Mapping[str, str] | None = None) -> Report:
    """The report of a store, of all runs or of those that match `where` (columns of table `run`)."""
    seen = look(store, where=where)
    given = where or {}
    incidents = [
        each for each in store.incidents.all()
        if all(getattr(each, name) == value for name, value in given.items())
    ]  # fmt: skip
    return Report(
        "Regressions over time",
        list(_parts(seen, incidents)),
        _footnote(seen),
        {
            "incidents": [incident_document(each) for each in incidents],
            "series": [series_document(each) for each in seen.found],
            "left_out": seen.left_out,
        },
    )


def _parts(seen: Seen, incidents: Sequence[Incident]) -> Iterator[Part]:
    yield Paragraph.of(_lead(seen, incidents), kind="lead")
    for incident in incidents:
        yield from _incident(incident)
    for at, (kind, of) in enumerate(groupby(seen.found, key=lambda each: each.series.kind)):
        yield from _kind(at, kind, list(of))


def _lead(seen: Seen, incidents: Sequence[Incident]) -> str:
    at_work = [each for each in incidents if each.state in ("open", "acknowledged")]
    if at_work:
        newest = _headline(at_work[0])
        return f"{len(at_work)} of {len(incidents)} incidents are not settled; the newest: {newest}."
    if not seen.long_enough:
        return f"No series has the {FEWEST_RUNS} runs that detection needs."
    return f"No open incident in {len(seen.long_enough)} series."


def _headline(incident: Incident) -> str:
    worst = incident.evidence["series"][0]
    return f"{parse(worst['metric']).title} {percent(worst['ratio'])}, {incident.evidence['title']}"


def _incident(incident: Incident) -> Iterator[Part]:
    seen = incident.evidence
    yield Heading(f"{incident.id}: {incident.state}")
    yield Facts([
        ("Of", seen["title"]),
        ("Hardware", incident.hardware),
        ("Opened", f"{when(incident.opened_at_ns)} UTC, with the step {seen.get('delay_runs')} runs old"),
        ("Last good run", Code(seen["last_good_run"])),
        ("First bad run", Code(seen["first_bad_run"])),
        ("Suspect commits", suspects(seen) or "unknown"),
        ("Also changed", "; ".join(seen.get("causes", ()))),
        ("Compare", Code(f"loadlab compare {seen['last_good_run']} {seen['first_bad_run']}")),
    ])  # fmt: skip
    yield Table("Metrics that moved together", _METRICS, [_evidence(each) for each in seen["series"]])
    yield Items([f"{when(each.at_ns)} {each.state} by {each.by}: {each.why}" for each in incident.changes])


def _evidence(seen: Mapping[str, Any]) -> list[Cell]:
    measure = parse(seen["metric"])
    return [
        measure.title, quantity(seen["before"], measure.of.unit), quantity(seen["after"], measure.of.unit),
        f"{percent(seen['ratio'])} ({percent(seen['low'])} … {percent(seen['high'])})",
        f"{seen['runs_before']} + {seen['runs_after']}", f"{seen['p']:.1g}",
    ]  # fmt: skip


def _kind(at: int, kind: Kind, of: Sequence[Found]) -> Iterator[Part]:
    yield Heading(kind.title)
    yield Paragraph.of(f"{_NOTE} Hardware: {kind.hardware}.", kind="note")
    for place in range(0, len(of), figures.MAX_LANES):
        some = of[place : place + figures.MAX_LANES]
        yield Chart(f"series-{at}-{place}", figures.finding(some), partial(figures.regressions, some, "time"))
    yield Table("Series of this kind of run", _WATCHED, [_watched(each) for each in of])


def _watched(found: Found) -> list[Cell]:
    series, scatter, delay = found.series, found.scatter, found.delay_runs
    last = found.strong[-1] if found.strong else None
    return [
        series.measure.title, str(len(series.points)),
        quantity(float(series.values[-1]), series.measure.of.unit),
        "–" if scatter is None else f"{100 * scatter:.1f} %",
        "–" if delay is None else f"{delay} runs",
        f"{figures.change(last)} at {series.points[last.at].run_id}" if last else "none",
    ]  # fmt: skip


def _footnote(seen: Seen) -> str:
    runs = sorted({(point.at_ns, point.run_id) for each in seen.found for point in each.series.points})
    span = f"{when(runs[0][0])} to {when(runs[-1][0])} UTC" if runs else "none"
    left = f" · {seen.left_out} levels left out, not VALID" if seen.left_out else ""
    return f"{len(runs)} runs, {span}{left} · loadlab {__version__}"
