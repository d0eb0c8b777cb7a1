"""Regressions over time as text of at most 100 columns and as plain values for JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from math import exp
from typing import Any

from loadlab.analysis.measures import parse
from loadlab.core.incident import Incident
from loadlab.core.units import NS_PER_S
from loadlab.history import FEWEST_RUNS, Checked, Found, Seen
from loadlab.history.segments import Cut
from loadlab.reports.table import UNKNOWN, cell
from loadlab.reports.text import WIDTH

SINCE_NEVER = "none"
TOO_FEW = (
    f"detection needs ≥ {FEWEST_RUNS} VALID runs of one kind; "
    "`loadlab run SCENARIO --target NAME` records one, `loadlab schedule` many."
)


def percent(ratio: float) -> str:
    """A ratio as a change: "+20.3 %"."""
    return f"{100 * (ratio - 1):+.1f} %"


def when(at_ns: int) -> str:
    """A time to the minute, UTC."""
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M")


def incident_document(incident: Incident) -> dict[str, Any]:
    """An incident as plain values, its times as ISO 8601 in UTC."""
    found = asdict(incident)
    notified = found.pop("notified_at_ns")
    return {
        **found,
        "opened_at": _iso(found.pop("opened_at_ns")),
        "notified_at": None if notified is None else _iso(notified),
        "metrics": list(incident.metrics),
        "changes": [{**asdict(each), "at": _iso(each.at_ns)} for each in incident.changes],
    }


def series_document(found: Found) -> dict[str, Any]:
    """A series as plain values: its runs, its cuts, its scatter."""
    series = found.series
    runs = zip(series.points, series.values.tolist(), strict=True)
    return {
        "kind": series.kind.key,
        "title": series.kind.title,
        "hardware": series.kind.hardware,
        "metric": series.measure.name,
        "runs": [
            {"run": point.run_id, "level": point.level, "at": _iso(point.at_ns), "commit": point.commit,
             "value": value, "changed": list(series.marked.get(place, ()))}
            for place, (point, value) in enumerate(runs)
        ],
        "cuts": [_cut_document(found, cut) for cut in found.cuts],
        "scatter": found.scatter,
        "delay_runs": found.delay_runs,
        "suspect": found.alarm.run_id if found.alarm else None,
    }  # fmt: skip


def _cut_document(found: Found, cut: Cut) -> dict[str, Any]:
    ratio, low, high = cut.step.ratio
    first = found.series.points[cut.at]
    return {
        "first_run": first.run_id, "commit": first.commit, "strong": cut.strong, "worse": found.worse(cut),
        "before": exp(cut.step.left), "after": exp(cut.step.right), "ratio": ratio, "low": low, "high": high,
        "p": cut.step.p, "limit": found.limit,
    }  # fmt: skip


def check_document(checked: Checked) -> dict[str, Any]:
    """A check as plain values."""
    seen = checked.seen
    return {
        "series": len(seen.found),
        "long_enough": len(seen.long_enough),
        "left_out": seen.left_out,
        "opened": [incident_document(each) for each in checked.opened],
        "going_on": [incident_document(each) for each in checked.going_on],
        "fixed": [incident_document(each) for each in checked.fixed],
        "suspects": [
            {"run": each.alarm.run_id, "kind": each.series.kind.key, "title": each.series.kind.title,
             "metric": each.series.measure.name, "ratio": exp(each.alarm.shift)}
            for each in seen.suspects if each.alarm
        ],
        "weak": [
            {"kind": each.series.kind.key, "metric": each.series.measure.name, **_cut_document(each, cut)}
            for each in seen.found for cut in each.cuts if not cut.strong and each.worse(cut)
        ],
    }  # fmt: skip


def render_check(checked: Checked) -> str:
    """What a check found, the worst first."""
    return "".join(f"{line}\n" for line in _check_lines(checked))


def _check_lines(checked: Checked) -> Iterator[str]:
    seen = checked.seen
    yield _watched(seen)
    for word, incidents in (("NEW", checked.opened), ("open", checked.going_on), ("fixed", checked.fixed)):
        for each in incidents:
            yield f"{word:<8}{each.id}  {_headline(each)}"
            yield f"{'':8}{_range(each)}"
    for run, suspects in _by_run(seen.suspects).items():
        worst = max(suspects, key=lambda each: abs(each.alarm.shift) if each.alarm else 0.0)
        assert worst.alarm
        moved = f"{worst.series.measure.name} {percent(exp(worst.alarm.shift))}"
        yield f"suspect run {run}: {moved} beside earlier runs"
        yield f"{'':8}`loadlab history check --rerun` repeats it three times and then judges"
    if not (checked.opened or checked.going_on or seen.suspects):
        yield "no regression" if seen.long_enough else TOO_FEW


def _by_run(suspects: Sequence[Found]) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for each in suspects:
        if each.alarm:
            found.setdefault(each.alarm.run_id, []).append(each)
    return found


def _watched(seen: Seen) -> str:
    kinds = len({each.series.kind for each in seen.found})
    words = f"{len(seen.found)} series of {kinds} kind{'s' * (kinds != 1)} of run"
    short = len(seen.found) - len(seen.long_enough)
    words += f", {short} of them below {FEWEST_RUNS} runs" if short else ""
    return words + (f"; {seen.left_out} levels left out, not VALID" if seen.left_out else "")


def _headline(incident: Incident) -> str:
    worst, others = incident.evidence["series"][0], len(incident.metrics) - 1
    more = f" and {others} more" if others else ""
    return f"{worst['metric']} {percent(worst['ratio'])}{more}: {incident.evidence['title']}"


def _range(incident: Incident) -> str:
    seen = incident.evidence
    words = f"between run {seen['last_good_run']} and run {seen['first_bad_run']}"
    return words + (f", {found.replace('git log', 'commits')}" if (found := suspects(seen)) else "")


def suspects(seen: Mapping[str, Any]) -> str | None:
    """The commits that an incident's evidence leaves, shortened; None where runs know none."""
    good, bad = seen.get("last_good_commit"), seen.get("first_bad_commit")
    if not good or not bad:
        return None
    return f"git log {good[:12]}..{bad[:12]}" if good != bad else f"commit {bad} on both sides: not the code"


def render_incidents(incidents: Sequence[Incident]) -> str:
    """One line per incident under a head line."""
    heads = ["incident", "state", "opened (UTC)", "scenario", "target", "worst", "change"]
    return table(heads, [_incident_cells(each) for each in incidents], shrink=(3, 4), right=(6,))


def _incident_cells(incident: Incident) -> list[str]:
    worst = incident.evidence["series"][0]
    return [
        incident.id, incident.state, when(incident.opened_at_ns)[5:], incident.scenario, incident.target,
        worst["metric"], percent(worst["ratio"]),
    ]  # fmt: skip


def render_series(all_found: Sequence[Found]) -> str:
    """By kind, a line per series: its runs, their scatter, what a step takes, the last certain one."""
    heads = ["metric", "runs", "now", "scatter", "+10 % in", "last step", "since run"]
    lines = []
    for kind, of in groupby(all_found, key=lambda each: each.series.kind):
        rows = [_series_cells(each) for each in of]
        lines.append(f"{kind.title} ({kind.hardware})\n{table(heads, rows, right=(1, 2, 3, 4, 5))}")
    return "\n".join(lines)


def _series_cells(found: Found) -> list[str]:
    series, scatter, delay = found.series, found.scatter, found.delay_runs
    last = found.strong[-1] if found.strong else None
    return [
        f"{series.measure.name} ({series.measure.of.unit})",
        str(len(series.points)),
        cell(float(series.values[-1])),
        UNKNOWN if scatter is None else f"{100 * scatter:.1f} %",
        UNKNOWN if delay is None else f"{delay} runs",
        percent(last.step.ratio[0]) if last else SINCE_NEVER,
        series.points[last.at].run_id if last else "",
    ]


def render_incident(incident: Incident) -> str:
    """Everything about one incident."""
    return "".join(f"{line}\n" for line in _incident_lines(incident))


def _incident_lines(incident: Incident) -> Iterator[str]:
    seen = incident.evidence
    yield f"{incident.id}  {incident.state}  {seen['title']}"
    for name, value in _facts(incident):
        yield f"  {name:<16}{value}"
    yield ""
    heads = ["metric", "before", "after", "change", "95 %", "runs", "p"]
    rows = [_evidence_cells(each) for each in seen["series"]]
    yield from table(heads, rows, right=range(1, 7)).splitlines()
    yield ""
    for change in incident.changes:
        why = f": {change.why}" if change.why else ""
        yield f"{when(change.at_ns)}  {change.state} by {change.by}{why}"
    yield f"compare: loadlab compare {seen['last_good_run']} {seen['first_bad_run']}"


def _facts(incident: Incident) -> Iterator[tuple[str, str]]:
    seen = incident.evidence
    yield "hardware", incident.hardware
    delay = seen.get("delay_runs")
    yield "opened", f"{when(incident.opened_at_ns)} UTC, with the step {delay} runs old"
    for name in ("last_good", "first_bad"):
        commit = seen.get(f"{name}_commit")
        yield name.replace("_", " "), f"run {seen[f'{name}_run']}" + (f", commit {commit}" if commit else "")
    if found := suspects(seen):
        yield "suspects", found
    for cause in seen.get("causes", ()):
        yield "also changed", cause


def _evidence_cells(seen: dict[str, Any]) -> list[str]:
    unit = parse(seen["metric"]).of.unit
    return [
        f"{seen['metric']} ({unit})", cell(seen["before"]), cell(seen["after"]), percent(seen["ratio"]),
        f"{percent(seen['low'])} … {percent(seen['high'])}", f"{seen['runs_before']} + {seen['runs_after']}",
        f"{seen['p']:.1g}",
    ]  # fmt: skip


def table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], shrink: Sequence[int] = (), right: Sequence[int] = ()
) -> str:
    """Rows under a head line; the columns of `shrink` give way, widest first, until all fit into 100."""
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    while sum(widths) + 2 * len(widths) - 2 > WIDTH and shrink:
        widest = max(shrink, key=lambda at: widths[at])
        if widths[widest] <= 8:
            break
        widths[widest] -= 1
    return "".join(f"{_line(row, widths, right)}\n" for row in (heads, *rows))


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = []
    for at, (text, width) in enumerate(zip(row, widths, strict=True)):
        cut = text if len(text) <= width else f"{text[: width - 1]}…"
        cells.append(cut.rjust(width) if at in right else cut.ljust(width))
    return "  ".join(cells).rstrip()


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat()
