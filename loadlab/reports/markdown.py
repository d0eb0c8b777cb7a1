"""The summary as Markdown: for a pull request, an issue or a lab book."""

from __future__ import annotations

from loadlab.analysis.nouns import Summary
from loadlab.reports import accuracy, cost, hardware
from loadlab.reports.table import COLUMNS


def render(summary: Summary) -> str:
    """Heading with the verdict, reasons, the level table, notes and the basis of the cost."""
    run, spec = summary.run, summary.spec
    lines = [
        f"### {run['verdict']}: {plain(spec.scenario)} on {plain(spec.endpoint.model)}",
        "",
        *(f"- **{plain(reason)}**" for reason in run["reasons"]),
        *([""] if run["reasons"] else []),
        *_table(summary),
        "",
        *(f"- {plain(note)}" for note in (*summary.notes, *_accuracy(summary), *_bases(summary))),
        *(f"- hardware: {plain(words)}" for words in hardware.words(summary.levels)),
        f"- run `{run['id']}`, seed {spec.seed}, {plain(spec.endpoint.url)}",
    ]
    return "\n".join(lines) + "\n"


def _table(summary: Summary) -> list[str]:
    heads = [f"{column.group} {column.head}".strip() for column in COLUMNS]
    rules = [":--", *("--:" for _ in COLUMNS[1:])]
    rows = [[column.cell(level) for column in COLUMNS] for level in summary.levels]
    return [f"| {' | '.join(map(plain, row))} |" for row in (heads, rules, *rows)]


def _bases(summary: Summary) -> list[str]:
    bases = (f"cost: {level.cost['basis']}" for level in summary.levels)
    return list(dict.fromkeys((*bases, *cost.words(summary.levels)[1:])))


def _accuracy(summary: Summary) -> list[str]:
    found = accuracy.words(summary.levels)
    return [f"accuracy: {found}"] if found else []


def plain(text: str) -> str:
    """One line that Markdown takes as words: a model's name must not become a link or a new row."""
    flat = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\|`*_<>[]$" else character for character in flat)
