"""Parts of a report as parts of a page: tables and figures are worded once, and shown in both."""

from __future__ import annotations

from typing import Any

from dash import html

from loadlab.figures import Theme
from loadlab.figures.parts import Cell, Chart, Code, Facts, Items, Paragraph, Strip, Table, Word

from . import components

_TONES = {"good": "verdict-valid", "bad": "verdict-invalid", "open": "verdict-suspect", "plain": ""}


def shown(part: Any, theme: Theme) -> Any:
    """A table, a figure, facts, items or a paragraph as components."""
    match part:
        case Table():
            return _table(part)
        case Chart():
            data = _table(part.data) if part.data else None
            return components.chart(part.name, part.draw(theme), part.finding, data)
        case Facts(pairs):
            return components.facts([(name, _cell(value)) for name, value in pairs if value != ""])
        case Items(cells):
            return html.Ul([html.Li(_cell(cell)) for cell in cells]) if cells else None
        case Paragraph(cells, kind):
            words = [piece for cell in cells for piece in (_cell(cell), " ")]
            return html.P(words, className={"lead": "answer", "note": "note"}.get(kind))
    raise TypeError(f"no page shows a {type(part).__name__}")


def _table(part: Table) -> html.Div:
    columns = [
        components.Column(column.head, str(at), number=column.number, help=column.help)
        for at, column in enumerate(part.columns)
    ]
    rows = [{str(at): _cell(cell) for at, cell in enumerate(row)} for row in part.rows]
    return components.table(columns, rows, part.caption)


def _cell(cell: Cell) -> Any:
    match cell:
        case Word(text, tone):
            return html.Span(text, className=f"verdict {_TONES[tone]}")
        case Code(text):
            return html.Code(text)
        case Strip(text):
            return text
    return cell
