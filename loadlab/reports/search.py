"""A search as text and JSON: the answer first, then what each load tried has shown, then the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadlab.analysis.nouns import Summary
from loadlab.reports import as_json as document_of
from loadlab.reports import text
from loadlab.sweeps.crossing import CONFIDENCE
from loadlab.sweeps.search import Answer, Probe


@dataclass(frozen=True, slots=True)
class Told:
    """A search that is over: its answer, what was asked, the loads tried, the run, and the command."""

    answer: Answer
    course: Mapping[str, Any]
    probes: tuple[Probe, ...]
    summary: Summary
    again: str


def as_text(told: Told) -> str:
    """Plain text of at most 100 columns."""
    answer = told.answer
    lines = [
        *text.labelled(answer.outcome.lower(), words(answer, told.course["by"])),
        *text.labelled("slo", " and ".join(told.course["slo"])),
        *(text.labelled("cliff", _cliff(answer)) if answer.cliff else []),
        *text.labelled("tried", _tried(told.probes, told.course["by"])),
        *text.labelled("again", told.again),
    ]
    return "\n".join(lines) + "\n\n" + text.render(told.summary)


def words(answer: Answer, by: str) -> str:
    """The answer in one sentence."""
    if answer.load is None:
        bound = f"at least {_load(answer.low, by)}: " if answer.outcome == "AT LEAST" else ""
        return f"{bound}{answer.why}"
    sentence = (
        f"{_load(answer.load, by)} is the most that holds, {CONFIDENCE:.0%} interval {_few(answer.low)} … "
        f"{_few(answer.high)}; measured: {_load(answer.holds, by)} holds, {_few(answer.breaks)} does not "
        f"({answer.rule})"
    )
    return f"{sentence}; {answer.why}" if answer.why else sentence


def _load(load: float | None, by: str) -> str:
    unit = "req/s" if by == "rate" else "user" if load == 1 else "users"
    return f"{_few(load)} {unit}"


def _few(load: float | None) -> str:
    """A load in three digits; users are whole."""
    return "–" if load is None else f"{load:.3g}" if load < 1000 else f"{load:,.0f}"


def _cliff(answer: Answer) -> str:
    return (
        f"between {_few(answer.holds)} and {_few(answer.breaks)} the value more than doubles: stay well "
        "below, a little more load is much worse"
    )


def _tried(probes: Sequence[Probe], by: str) -> str:
    """Every load in the order tried, with how far it was from the limit."""
    return "; ".join(f"{_few(probe.load)} {_told(probe)}" for probe in probes) or f"no {by} at all"


def _told(probe: Probe) -> str:
    if probe.unfit:
        return f"unfit ({probe.unfit})"
    worst = max(probe.counts, key=lambda count: count.over / max(1, count.n) / count.allowed)
    share = worst.over / worst.n if worst.n else 0.0
    held = "holds" if share <= worst.allowed and not probe.saturated else "misses"
    beyond = (
        f"{share:.1%} of {worst.n:,} beyond, {worst.allowed:.3g} may be" if worst.n else "nothing measured"
    )
    return f"{held} ({beyond}{', over capacity' if probe.saturated else ''})"


def as_json(told: Told) -> str:
    """The document of the run with a key "search"."""
    search = {
        "outcome": told.answer.outcome,
        **{name: value for name, value in asdict(told.answer).items() if name != "outcome"},
        "confidence": CONFIDENCE,
        "by": told.course["by"],
        "slo": list(told.course["slo"]),
        "words": words(told.answer, told.course["by"]),
        "tried": [_probe(probe) for probe in told.probes],
        "again": told.again,
    }
    return (
        json.dumps({**document_of.document(told.summary), "search": search}, indent=2, allow_nan=False) + "\n"
    )


def _probe(probe: Probe) -> dict[str, Any]:
    counts = [
        {"rule": count.rule, "n": count.n, "over": count.over, "allowed": count.allowed}
        for count in probe.counts
    ]
    return {"load": probe.load, "saturated": probe.saturated, "unfit": probe.unfit, "counts": counts}
