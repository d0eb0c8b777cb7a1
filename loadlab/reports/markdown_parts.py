"""The parts of a document as Markdown: a chart is its finding and its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from loadlab.figures.parts import (
    Cell,
    Chart,
    Code,
    Facts,
    Heading,
    Items,
    Paragraph,
    Part,
    Strip,
    Table,
    Word,
)
from loadlab.reports.markdown import plain


def render(title: str, parts: Sequence[Part], footnote: str) -> str:
    """The document, ending in a newline."""
    blocks = [
        f"# {plain(title)}",
        *(block for part in parts if (block := _part(part))),
        "---",
        plain(footnote),
    ]
    return "\n\n".join(blocks) + "\n"


def _part(part: Part) -> str:
    return "\n".join(_WRITERS[type(part)](part))


def _heading(part: Heading) -> Iterator[str]:
    yield f"{'#' * part.level} {plain(part.text)}"


def _paragraph(part: Paragraph) -> Iterator[str]:
    words = " ".join(map(_cell, part.cells))
    yield f"*{words}*" if part.kind == "note" and words else words


def _items(part: Items) -> Iterator[str]:
    yield from (f"- {_cell(cell)}" for cell in part.cells)


def _facts(part: Facts) -> Iterator[str]:
    yield from (f"- {plain(name)}: {_cell(value)}" for name, value in part.pairs if value != "")


def _table(part: Table) -> Iterator[str]:
    yield f"**{plain(part.caption)}**"
    yield ""
    yield _row([plain(column.head) for column in part.columns])
    yield _row(["--:" if column.number else ":--" for column in part.columns])
    yield from (_row([_cell(cell) for cell in row]) for row in part.rows)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _chart(part: Chart) -> Iterator[str]:
    yield plain(part.finding)
    if part.data:
        yield ""
        yield from _table(part.data)


def _cell(cell: Cell) -> str:
    match cell:
        case Word(text):
            return f"**{plain(text)}**"
        case Code(text):
            return f"`{text.translate(_IN_CODE)}`"
        case Strip(text):
            return plain(text)
    return plain(cell)


# Neither can be escaped inside code: one would end it, the other the table's cell.
_IN_CODE = str.maketrans("`|", "'¦")

_WRITERS: dict[type, Callable[..., Iterator[str]]] = {
    Heading: _heading,
    Paragraph: _paragraph,
    Items: _items,
    Facts: _facts,
    Table: _table,
    Chart: _chart,
}
