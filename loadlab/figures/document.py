"""A list of parts as one HTML file that needs nothing else: no address, no font, no server.

Tables and words work without JavaScript; charts are drawn by the bundle inside the file. A policy in its head
forbids every request, so that a document stays readable, and tells nobody that it is read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Literal

from loadlab.figures import assets
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
)  # fmt: skip
from loadlab.figures.theme import THEMES

_UNDRAWN = "This chart is drawn by JavaScript, which does not run here."
_STRIP_PX = 160
Shown = Literal["auto", "light", "dark"]
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def document(title: str, parts: Sequence[Part], *, footnote: str, theme: Shown = "auto") -> str:
    """The page. `footnote` says what the numbers are of; saved pictures carry it too.

    `theme` "auto" follows the reader's system. On paper a document is always light.
    """
    body = "\n".join(_part(part) for part in parts)
    return (
        f'<!doctype html>\n<html lang="en" data-theme="{theme}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>\n{assets.text('document.css')}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{body}\n<footer>{escape(footnote)}</footer>\n</main>\n"
        f"{_scripts(parts)}</body>\n</html>\n"
    )


def _scripts(parts: Iterable[Part]) -> str:
    if not any(isinstance(part, Chart) for part in parts):
        return ""
    return "".join(f"<script>\n{assets.text(name)}</script>\n" for name in (assets.BUNDLE, "document.js"))


def _part(part: Part) -> str:
    return _WRITERS[type(part)](part)


def _heading(part: Heading) -> str:
    return f"<h{part.level}>{escape(part.text)}</h{part.level}>"


def _paragraph(part: Paragraph) -> str:
    kind = f' class="{part.kind}"' if part.kind else ""
    return f"<p{kind}>{' '.join(map(_cell, part.cells))}</p>"


def _items(part: Items) -> str:
    items = "".join(f"<li>{_cell(cell)}</li>" for cell in part.cells)
    return f"<ul>{items}</ul>" if items else ""


def _facts(part: Facts) -> str:
    pairs = ((name, value) for name, value in part.pairs if value != "")
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{_cell(value)}</dd>\n" for name, value in pairs)
    return f"<dl>\n{rows}</dl>"


def _cell(cell: Cell) -> str:
    match cell:
        case Word(text, tone):
            return f'<span class="{tone}">{escape(text)}</span>'
        case Code(text):
            return f"<code>{escape(text)}</code>"
        case Strip():
            return _strip(cell)
    return escape(cell)


def _strip(strip: Strip) -> str:
    def at(value: float) -> float:
        share = max(-1.0, min(1.0, (value - strip.middle) / strip.reach))
        return round(_STRIP_PX / 2 * (1 + 0.95 * share), 1)

    low, value, high = at(strip.low), at(strip.value), at(strip.high)
    words, middle = escape(strip.text), _STRIP_PX / 2
    return (
        f'<svg role="img" aria-label="{words}" width="{_STRIP_PX}" height="18" class="{strip.tone}">'
        f'<line x1="{middle}" x2="{middle}" y1="0" y2="18" stroke="currentColor" opacity="0.3"/>'
        f'<line x1="{low}" x2="{high}" y1="9" y2="9" stroke="currentColor" stroke-width="3"/>'
        f'<circle cx="{value}" cy="9" r="4" fill="currentColor"/></svg>'
    )


def _table(part: Table) -> str:
    sides = [' class="number"' if column.number else "" for column in part.columns]
    heads = "".join(
        f'<th scope="col"{side}{_title(column.help)}>{escape(column.head)}</th>'
        for column, side in zip(part.columns, sides, strict=True)
    )
    rows = "\n".join(
        f"<tr>{''.join(f'<td{side}>{_cell(cell)}</td>' for cell, side in zip(row, sides, strict=True))}</tr>"
        for row in part.rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(part.caption)}">\n'
        f"<table>\n<caption>{escape(part.caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>\n</div>{_download(part)}"
    )


def _title(words: str) -> str:
    return f' title="{escape(words)}"' if words else ""


def _download(part: Table) -> str:
    """The rows as a file inside the page: a link that asks nobody."""
    if not part.csv:
        return ""
    name = "".join(letter if letter.isalnum() else "-" for letter in part.caption.lower())[:60].strip("-")
    held = base64.b64encode(part.csv.encode()).decode()
    return (
        f'\n<p class="download"><a download="{name}.csv" href="data:text/csv;charset=utf-8;base64,{held}">'
        "CSV of this table</a></p>"
    )


def _chart(part: Chart) -> str:
    drawn = {name: json.loads(part.draw(theme).to_json()) for name, theme in THEMES.items()}
    height = drawn["light"]["layout"].get("height", 360)
    # Inside a script element "<" could end it; JSON knows another way to write it.
    held = json.dumps(drawn, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    rows = f"<details><summary>Data table</summary>\n{_table(part.data)}\n</details>" if part.data else ""
    return (
        f'<figure id="chart-{part.name}"><figcaption>{escape(part.finding)}</figcaption>\n'
        f'<div class="plot" id="{part.name}" role="img" aria-label="{escape(part.finding)}" '
        f'style="min-height:{height}px">{_UNDRAWN}</div>\n'
        f'<script type="application/json">{held}</script>\n{rows}</figure>'
    )


_WRITERS: dict[type, Callable[..., str]] = {
    Heading: _heading,
    Paragraph: _paragraph,
    Items: _items,
    Facts: _facts,
    Table: _table,
    Chart: _chart,
}
