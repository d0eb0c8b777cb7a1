"""What a document is made of: headings, sentences, facts, tables, charts. Knows neither HTML nor Markdown.

One list of parts is a page in HTML (`figures.document`) and in Markdown (`reports.markdown_parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import plotly.graph_objects as go

from loadlab.figures.theme import Theme

Tone = Literal["good", "bad", "open", "plain"]


@dataclass(frozen=True, slots=True)
class Word:
    """A verdict in a cell or a sentence: said in words, and coloured by its `tone`."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Code:
    """Text to be typed or looked up: an id, a command, a rule."""

    text: str


@dataclass(frozen=True, slots=True)
class Strip:
    """An interval, drawn small on a line that reaches so far to both sides of its middle; `text` says it."""

    text: str
    low: float
    value: float
    high: float
    middle: float
    reach: float
    tone: Tone = "plain"


Cell = str | Word | Code | Strip


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title; `level` 2 or 3, as the document has the only first one."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Words; `kind` "lead" is the answer on top, "note" an explanation in small print."""

    cells: tuple[Cell, ...]
    kind: Literal["", "lead", "note"] = ""

    @classmethod
    def of(cls, *cells: Cell, kind: Literal["", "lead", "note"] = "") -> Paragraph:
        """The paragraph of these words, one after the other with a space between."""
        return cls(cells, kind)


@dataclass(frozen=True, slots=True)
class Items:
    """Sentences as a list."""

    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, a line each; a value of "" is left out."""

    pairs: Sequence[tuple[str, Cell]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's head, whether it holds numbers, and what its head explains."""

    head: str
    number: bool = True
    help: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under columns. The caption says what they are; `csv` is the same with all its digits."""

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    csv: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """A figure, drawn once per theme; `finding` is its message in one sentence, `data` the rows it shows.

    `name` is unique in its document, of letters, digits and dashes.
    """

    name: str
    finding: str
    draw: Callable[[Theme], go.Figure]
    data: Table | None = None


Part = Heading | Paragraph | Items | Facts | Table | Chart

_TONES: dict[str, Tone] = {
    "VALID": "good", "PASS": "good", "INVALID": "bad", "FAIL": "bad",
    "SUSPECT": "open", "INCONCLUSIVE": "open", "running": "open", "interrupted": "open",
}  # fmt: skip
_ICONS = {"good": "✓ ", "bad": "✕ ", "open": "! ", "plain": ""}


def verdict(word: str) -> Word:
    """A verdict of a run or a gate with its sign: "✓ VALID"."""
    tone = _TONES.get(word, "plain")
    return Word(f"{_ICONS[tone]}{word}", tone)
