"""Regressions: has it become slower, since when, and what changed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp
from typing import Any

from dash import Dash, dcc, html

from loadlab.analysis.measures import parse
from loadlab.core.incident import Incident
from loadlab.core.units import number
from loadlab.figures import Theme
from loadlab.figures import history as figures
from loadlab.figures.axes import quantity
from loadlab.history import FEWEST_RUNS, Cut, Found, Kind, Seen

from .. import url
from ..choosing import chips, only
from ..components import Column, chart, empty, facts, page, section, table
from ..links import compare_path, run_link
from ..moments import minute
from ..source import Source
from ..watching import headline, incidents, kinds, seen
from ..words import counted

PATH = "/regressions"
TITLE = "Regressions"
MAX_KINDS = 12
_NIGHTLY = (
    "loadlab run chat --target NAME --commit SHA    # every night",
    "loadlab history check --rerun                  # after it",
    "loadlab schedule emit cron                     # both at their times",
)
_NOTE = (
    "A dot is a VALID run with its own 95 % interval; the line is the median between steps, the band two "
    "standard deviations of runs. A rule is a step, dotted where it is not certain; a triangle, something "
    "else that changed; a hollow dot, a suspect run."
)
_INCIDENTS = (
    Column("Incident", "incident", number=False),
    Column("State", "state", number=False),
    Column("Opened (UTC)", "opened", number=False),
    Column("Of", "of", number=False),
    Column("What", "what", number=False),
    Column("Since", "since", number=False, help="The first bad run; its commit, and the last good one's"),
    Column("Found after", "delay", help="Runs from the first bad one until it was certain"),
)
_STEPS = (
    Column("Metric", "metric", number=False),
    Column("Change", "change", number=False, help="Ratio of geometric means with its 95 % interval"),
    Column("p", "p", help="Of Student's t; below it the limit under which a step is certain in this series"),
    Column("First run after it", "run", number=False),
    Column("Commits, what else changed", "causes", number=False),
)
_WATCHED = (
    Column("Metric", "metric", number=False),
    Column("Runs", "runs"),
    Column("Now", "now"),
    Column("Scatter", "scatter", help="Standard deviation of runs between steps"),
    Column("+10 % found in", "delay", help="Runs after which a step of 10 % is found nine times of ten"),
    Column("Last step", "step", number=False),
)
_EVIDENCE = (
    Column("Metric", "metric", number=False),
    Column("Before", "before"),
    Column("After", "after"),
    Column("Change", "change"),
    Column("Runs", "runs"),
    Column("p", "p"),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The incidents, then the series of one kind of run; `kind`, `over`, `state`, `incident` choose."""
    found = seen(source)
    every = incidents(source, True)
    if not found.found:
        return page(TITLE, None, _none(source, found))
    groups = kinds(found)
    chosen = _chosen(groups, every, query)
    return page(
        TITLE,
        _answer(found, every),
        section("Incidents", *_incidents(every, query)),
        *_detail(every, query),
        _choices(groups, chosen, query),
        *_series(chosen, groups[chosen], theme, query),
        about=_about(groups[chosen]),
    )


def register(app: Dash, source: Source) -> None:
    """Every choice is a link."""


def _none(source: Source, found: Seen) -> html.Div:
    left = f" {counted(found.left_out, 'level')} are stored that are not VALID." if found.left_out else ""
    why = f"No VALID run in {source.where} makes a series yet.{left}"
    return empty(f"{why} Detection needs ≥ {FEWEST_RUNS} runs of one kind:", _NIGHTLY)


def _answer(found: Seen, every: Sequence[Incident]) -> str:
    at_work = [each for each in every if each.state in ("open", "acknowledged")]
    if at_work:
        more = f", and {counted(len(at_work) - 1, 'more incident')}" if len(at_work) > 1 else ""
        return f"{headline(at_work[0])}: {at_work[0].evidence['title']}{more}."
    if not found.long_enough:
        longest = max(len(each.series.points) for each in found.found)
        return f"{counted(longest, 'run')} of one kind so far; detection needs ≥ {FEWEST_RUNS}."
    suspects = {each.alarm.run_id for each in found.suspects if each.alarm}
    if suspects:
        return f"Run {min(suspects)} is suspect: `loadlab history check --rerun` repeats it and then judges."
    return f"No incident; {counted(len(found.long_enough), 'series')} watched.".replace("seriess", "series")


def _chosen(groups: Mapping[Kind, list[Found]], every: Sequence[Incident], query: Mapping[str, str]) -> Kind:
    """The kind of run that the URL names, or that of its incident, else the one with the newest run."""
    named = [each.evidence.get("kind") for each in every if each.id == query.get("incident")]
    wanted = query.get("kind") or next(iter(named), None)
    return next((kind for kind in groups if kind.key == wanted), next(iter(groups)))


def _incidents(every: Sequence[Incident], query: Mapping[str, str]) -> list[Any]:
    if not every:
        return [html.P("None so far. `loadlab history check` looks for new ones.", className="note")]
    kept = only(query, "kind", "over", "state")
    chosen = chips("Show", PATH, kept, "state", [("", "open and acknowledged"), ("all", "all")])
    shown = [each for each in every if query.get("state") == "all" or each.state in ("open", "acknowledged")]
    if not shown:
        return [chosen, html.P("None is open.", className="note")]
    return [chosen, table(_INCIDENTS, [_incident(each, query) for each in shown], "Incidents, newest first")]


def _incident(incident: Incident, query: Mapping[str, str]) -> dict[str, Any]:
    evidence = incident.evidence
    here = PATH + url.write({**only(query, "over", "state"), "incident": incident.id})
    return {
        "incident": dcc.Link(html.Span(incident.id, className="once"), href=here),
        "state": incident.state,
        "opened": html.Span(minute(incident.opened_at_ns), className="once"),
        "of": evidence["title"],
        "what": headline(incident),
        "since": [run_link(evidence["first_bad_run"], html.Span(evidence["first_bad_run"], className="once")),
                  html.Div(_commits(evidence), className="below")],
        "delay": f"{evidence.get('delay_runs') or '–'}",
    }  # fmt: skip


def _commits(evidence: Mapping[str, Any]) -> str:
    good, bad = evidence.get("last_good_commit"), evidence.get("first_bad_commit")
    return f"{good[:10]}..{bad[:10]}" if good and bad else "commits unknown"


def _detail(every: Sequence[Incident], query: Mapping[str, str]) -> list[Any]:
    """The evidence of the incident in the URL."""
    found = [each for each in every if each.id == query.get("incident")]
    if not found:
        wrong = f"No incident '{query['incident']}' in this store." if query.get("incident") else ""
        return [html.P(wrong, className="note")] if wrong else []
    incident = found[0]
    evidence = incident.evidence
    around = [evidence["last_good_run"], evidence["first_bad_run"]]
    changes = [f"{minute(each.at_ns)} {each.state} by {each.by}: {each.why}" for each in incident.changes]
    return [
        section(
            f"Incident {incident.id}",
            facts([
                ("State", incident.state),
                ("Of", evidence["title"]),
                ("Hardware", incident.hardware),
                ("Last good run", run_link(around[0], around[0])),
                ("First bad run", run_link(around[1], around[1])),
                ("Suspect commits", _suspects(evidence)),
                ("Also changed", "; ".join(evidence.get("causes", ()))),
                ("What was done", html.Ul([html.Li(words) for words in changes])),
            ]),
            table(_EVIDENCE, [_evidence(each) for each in evidence["series"]], "Metrics that moved together"),
            html.P([dcc.Link("Compare the runs around it", href=compare_path(around)), " · ",
                    html.Code(f"loadlab history ack {incident.id} --why …")]),
        )
    ]  # fmt: skip


def _suspects(evidence: Mapping[str, Any]) -> Any:
    good, bad = evidence.get("last_good_commit"), evidence.get("first_bad_commit")
    return html.Code(f"git log {good}..{bad}") if good and bad else "unknown; record runs with --commit"


def _evidence(seen_in: Mapping[str, Any]) -> dict[str, Any]:
    unit = parse(seen_in["metric"]).of.unit
    low, high = (100 * (seen_in[end] - 1) for end in ("low", "high"))
    return {
        "metric": parse(seen_in["metric"]).title,
        "before": quantity(seen_in["before"], unit),
        "after": quantity(seen_in["after"], unit),
        "change": f"{100 * (seen_in['ratio'] - 1):+.1f} % ({low:+.1f} … {high:+.1f})",
        "runs": f"{seen_in['runs_before']} + {seen_in['runs_after']}",
        "p": f"{seen_in['p']:.1g}",
    }


def _choices(groups: Mapping[Kind, list[Found]], chosen: Kind, query: Mapping[str, str]) -> html.Div:
    kept = {**only(query, "over", "state"), "kind": chosen.key}
    shown = list(groups)[:MAX_KINDS]
    shown += [] if chosen in shown else [chosen]
    rows = [chips("Runs of", PATH, kept, "kind", [(kind.key, kind.title) for kind in shown])]
    if len(groups) > len(shown):
        rows.append(html.P(f"{len(groups) - len(shown)} older kinds are not offered here; "
                           "`loadlab history series` lists all.", className="note"))  # fmt: skip
    rows.append(chips("Across", PATH, kept, "over", [("", "time"), ("run", "runs, evenly")]))
    return html.Div(rows, className="choices")


def _series(kind: Kind, of: Sequence[Found], theme: Theme, query: Mapping[str, str]) -> list[Any]:
    over: figures.Over = "run" if query.get("over") == "run" else "time"
    longest = max(len(each.series.points) for each in of)
    few = (
        f" {counted(longest, 'run')} so far: detection needs ≥ {FEWEST_RUNS}."
        if longest < FEWEST_RUNS
        else ""
    )
    steps = [(each, cut) for each in of for cut in each.cuts]
    parts = []
    for place in range(0, len(of), figures.MAX_LANES):
        some = of[place : place + figures.MAX_LANES]
        name = "regressions" if not place else f"regressions-{place}"
        parts.append(
            chart(name, figures.regressions(some, over, theme), figures.finding(some), rows=_rows(some))
        )
    return [
        section(kind.title, *parts, note=f"{_NOTE} Hardware: {kind.hardware}.{few}"),
        section("Steps", table(_STEPS, [_step(*each) for each in steps], "Steps of these series")
                if steps else html.P("None.", className="note"),
                note="Weak steps lack one of the two opinions and open no incident."),
        section("Watched", table(_WATCHED, map(_watched, of), "Series of this kind of run")),
    ]  # fmt: skip


def _rows(of: Sequence[Found]) -> list[dict[str, Any]]:
    """What the CSV of the figure holds."""
    return [
        {"metric": each.series.measure.name, "run": point.run_id, "began_utc": minute(point.at_ns),
         "commit": point.commit, "value": float(value), "unit": each.series.measure.of.unit,
         "changed": "; ".join(each.series.marked.get(place, ()))}
        for each in of
        for place, (point, value) in enumerate(zip(each.series.points, each.series.values, strict=True))
    ]  # fmt: skip


def _step(found: Found, cut: Cut) -> dict[str, Any]:
    series, unit = found.series, found.series.measure.of.unit
    good, bad = series.points[cut.at - 1], series.points[cut.at]
    before, after = (quantity(exp(log), unit) for log in (cut.step.left, cut.step.right))
    near = [word for at in range(cut.at - 1, cut.at + 2) for word in series.marked.get(at, ())]
    commits = f"{good.commit[:10]}..{bad.commit[:10]}" if good.commit and bad.commit else "–"
    sure, around = "" if cut.strong else ", weak", (good.run_id, bad.run_id)
    return {
        "metric": series.measure.title,
        "change": _two(figures.words(found, cut).split(", p ")[0], f"{before} → {after}"),
        "p": _two(f"{cut.step.p:.1g}", f"of {found.limit:.1g}{sure}"),
        "run": [run_link(bad.run_id, html.Span(bad.run_id, className="once")),
                html.Div(dcc.Link("Compare around it", href=compare_path(around)), className="below")],
        "causes": [html.Code(commits), html.Div("; ".join(near), className="below")],
    }  # fmt: skip


def _two(above: str, below: str) -> list[html.Div]:
    return [html.Div(above, className="once"), html.Div(below, className="below once")]


def _watched(found: Found) -> dict[str, Any]:
    series, scatter, delay = found.series, found.scatter, found.delay_runs
    last = found.strong[-1] if found.strong else None
    return {
        "metric": series.measure.title,
        "runs": f"{len(series.points):,}",
        "now": quantity(float(series.values[-1]), series.measure.of.unit),
        "scatter": "–" if scatter is None else f"{number(100 * scatter)} %",
        "delay": "–" if delay is None else counted(delay, "run"),
        "step": f"{figures.change(last)} at {series.points[last.at].run_id}" if last else "none",
    }


def _about(of: Sequence[Found]) -> str:
    points = max((each.series.points for each in of), key=len)
    return f"{counted(len(points), 'run')}, {minute(points[0].at_ns)} to {minute(points[-1].at_ns)} UTC"
