"""A gate as one HTML file that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Iterator

from loadlab.figures.document import document
from loadlab.figures.parts import Cell, Code, Column, Items, Paragraph, Part, Strip, Table, verdict
from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.gate import KINDS, About, headline, worst_first

_MOST = 0.25


def render(found: Judgement, about: About) -> str:
    """The page."""
    base, candidate = ", ".join(found.base) or "none", ", ".join(found.candidate)
    footnote = f"{about.id}, {about.at}. Base: {base}. Candidate: {candidate}."
    return document(f"loadlab gate: {found.outcome}", list(_parts(found, about)), footnote=footnote)


def _parts(found: Judgement, about: About) -> Iterator[Part]:
    yield Paragraph.of(verdict(found.outcome), about.scenario, kind="lead")
    yield Paragraph.of(headline(found))
    yield Items([*found.invalid, *found.notes])
    yield _checks(found)
    if found.outcome != "PASS":
        yield Paragraph.of("Again:", Code(about.reproduce))


def _checks(found: Judgement) -> Table:
    heads = ("Outcome", "Kind", "Rule", "Limit", "Found", "Ratio, −25 % … +25 %")
    rows = [list(_row(check)) for check in worst_first(found.checks)]
    return Table("Every rule, worst first", [Column(head, number=False) for head in heads], rows)


def _row(check: Check) -> Iterator[Cell]:
    yield verdict(check.outcome)
    yield KINDS[check.kind]
    yield Code(check.rule)
    yield check.limit
    yield check.words
    yield _strip(check)


def _strip(check: Check) -> Cell:
    """The interval of a ratio on a line of which the middle is 1."""
    if check.unit != "ratio" or check.low is None or check.high is None or check.value is None:
        return ""
    tone = verdict(check.outcome).tone
    return Strip(check.words, check.low, check.value, check.high, 1.0, _MOST, tone)
