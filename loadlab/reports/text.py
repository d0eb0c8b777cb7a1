"""The summary on a terminal: plain text of at most 100 columns, also when every request failed."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from loadlab.analysis.nouns import LevelSummary, Summary
from loadlab.core.units import NS_PER_S
from loadlab.reports import accuracy, batch, cost, hardware, repeats
from loadlab.reports.table import COLUMNS

WIDTH = 100
_LABEL = 10
_WIDEST = 22


def render(summary: Summary) -> str:
    """Verdict and reasons, what ran, the levels, errors, notes, cost, and what to type next."""
    blocks = (
        _verdict(summary.run),
        _what(summary),
        _levels(summary.levels),
        [
            *_batch(summary),
            *_errors(summary.levels),
            *_repeats(summary.levels),
            *_notes(summary.notes),
            *labelled("accuracy", accuracy.words(summary.levels)),
            *_cost(summary.levels),
            *_hardware(summary.levels),
        ],
        _footer(summary.run["id"]),
    )
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _verdict(run: Mapping[str, Any]) -> list[str]:
    if not run["reasons"]:
        return [run["verdict"]]
    first, *others = run["reasons"]
    lines = _wrap(f"{run['verdict']}  ", first)
    return [*lines, *(line for reason in others for line in _wrap("", reason, 9))]


def _wrap(head: str, text: str, indent: int | None = None) -> list[str]:
    """`text` after `head`, folded to the width, later lines under the first word."""
    hang = " " * (len(head) if indent is None else indent)
    return textwrap.wrap(
        _plain(text),
        WIDTH,
        initial_indent=head or hang,
        subsequent_indent=hang,
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """Without control characters: words from a server must not move the cursor of a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def labelled(label: str, text: str) -> list[str]:
    """A line of the report under its label, folded to the width; none where there is no text."""
    return _wrap(f"{label:<{_LABEL}}", text) if text else []


def _what(summary: Summary) -> list[str]:
    spec, endpoint = summary.spec, summary.spec.endpoint
    began = datetime.fromtimestamp(summary.run["started_at_ns"] // NS_PER_S, UTC)
    return [
        *labelled("scenario", f"{spec.scenario} · seed {spec.seed} · {began:%Y-%m-%d %H:%M:%S} UTC"),
        *labelled("endpoint", f"{endpoint.name} · {endpoint.model} · {endpoint.url}"),
    ]


def _levels(levels: Sequence[LevelSummary]) -> list[str]:
    if not levels:
        return ["no level began"]
    heads = [column.head for column in COLUMNS]
    rows = [heads, *([_fit(column.cell(level)) for column in COLUMNS] for level in levels)]
    widths = [max(_room(at), *(len(row[at]) for row in rows)) for at in range(len(COLUMNS))]
    gap = "  " if sum(widths) + 2 * (len(widths) - 1) <= WIDTH else " "
    return [_groups(widths, gap), *(_line(row, widths, gap) for row in rows)]


def _fit(text: str) -> str:
    """No cell but an odd offered load is longer; with it the widest table still has `WIDTH` columns."""
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _room(at: int) -> int:
    """What a column needs for the words above it when it stands alone under them."""
    group = COLUMNS[at].group
    return len(group) if sum(column.group == group for column in COLUMNS) == 1 else 0


def _groups(widths: Sequence[int], gap: str) -> str:
    """The line above the heads: a group's words stand over the right end of its columns."""
    spans = []
    for words, columns in groupby(range(len(COLUMNS)), key=lambda at: COLUMNS[at].group):
        spans.append(words.rjust(len(gap.join(" " * widths[at] for at in columns))))
    return gap.join(spans).rstrip()


def _line(row: Sequence[str], widths: Sequence[int], gap: str) -> str:
    offered, *numbers = row
    aligned = (text.rjust(width) for text, width in zip(numbers, widths[1:], strict=True))
    return gap.join([offered.ljust(widths[0]), *aligned])


def _batch(summary: Summary) -> list[str]:
    lines = enumerate(batch.words(summary.batch))
    return [line for at, text in lines for line in labelled("" if at else "batch", text)]


def _errors(levels: Iterable[LevelSummary]) -> list[str]:
    kinds: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for level in levels:
        kinds.update(level.requests["errors"])
        examples = {**level.examples, **examples}
    lines = [f"{n:,} {kind}{_example(examples.get(kind))}" for kind, n in kinds.most_common()]
    return [line for at, text in enumerate(lines) for line in labelled("" if at else "errors", text)]


def _example(detail: str | None) -> str:
    return f": {textwrap.shorten(_plain(detail), 160, placeholder=' …')}" if detail else ""


def _repeats(levels: Sequence[LevelSummary]) -> list[str]:
    found = enumerate(repeats.words(levels))
    return [line for at, text in found for line in labelled("" if at else "repeats", text)]


def _notes(notes: Sequence[str]) -> list[str]:
    return [line for at, note in enumerate(notes) for line in labelled("" if at else "notes", note)]


def _cost(levels: Sequence[LevelSummary]) -> list[str]:
    found = cost.words(levels)
    return [line for at, words in enumerate(found) for line in labelled("" if at else "cost", words)]


def _hardware(levels: Sequence[LevelSummary]) -> list[str]:
    lines = enumerate(hardware.words(levels))
    return [line for at, text in lines for line in labelled("" if at else "hardware", text)]


def _footer(run_id: str) -> list[str]:
    return labelled("run", run_id) + labelled("next", f"loadlab runs show {run_id}   ·   loadlab dash")
