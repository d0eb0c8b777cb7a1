"""A drawn page as one HTML file: its components turned into the parts of a document. Controls stay behind.

The page comes twice, light and dark, so that every figure is in the file in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from loadlab.figures.document import document
from loadlab.figures.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Facts,
    Heading,
    Items,
    Paragraph,
    Part,
    Table,
    Word,
)

from .footnote import ID

_TONES = {"valid": "good", "pass": "good", "invalid": "bad", "fail": "bad", "suspect": "open"}


def saved(light: Any, dark: Any, address: str) -> str:
    """The document of a page; `address` is where it was."""
    drawn = {"light": dict(_graphs(light)), "dark": dict(_graphs(dark))}
    parts = list(_parts(light, drawn))
    title = next((_text(_children(each)) for each in _walk(light) if _kind(each) == "H1"), "loadlab")
    foot = next((_text(_children(each)) for each in _walk(light) if getattr(each, "id", None) == ID), "")
    return document(title, parts, footnote=f"{foot} · {address}")


def _kind(node: Any) -> str:
    return str(getattr(node, "_type", ""))


def _children(node: Any) -> list[Any]:
    inside = node if isinstance(node, list | tuple) else getattr(node, "children", None)
    return list(inside) if isinstance(inside, list | tuple) else [] if inside is None else [inside]


def _walk(node: Any) -> Iterator[Any]:
    yield node
    for child in _children(node):
        yield from _walk(child)


def _graphs(page: Any) -> Iterator[tuple[str, Any]]:
    for each in _walk(page):
        if _kind(each) == "Graph":
            yield each.id, each.figure


def _text(node: Any) -> str:
    """The words of a node, without those of controls."""
    if node is None or isinstance(node, bool):
        return ""
    if not hasattr(node, "_type") and not isinstance(node, list | tuple):
        return str(node)
    if _kind(node) in _LEFT_OUT:
        return ""
    between = " " if _kind(node) in ("Td", "Div", "") else ""
    return between.join(filter(None, map(_text, _children(node)))).strip()


_LEFT_OUT = ("H1", "Button", "Graph", "Footer", "Dialog", "Input", "Form", "Nav", "Store", "Interval")
_CONTROLS = {"chips", "choices", "controls", "picked"}


def _parts(node: Any, drawn: dict[str, dict[str, Any]]) -> Iterator[Part]:
    kind, classes = _kind(node), str(getattr(node, "className", "") or "").split()
    if kind in _LEFT_OUT or getattr(node, "_namespace", "dash_html_components") == "dash_mantine_components":
        return
    if _CONTROLS & set(classes):
        return
    if "chart" in classes:
        yield _chart(node, drawn)
    elif "tiles" in classes:
        yield Facts([_tile(tile) for tile in _children(node)])
    elif kind in _MAKERS:
        yield _MAKERS[kind](node)
    elif isinstance(node, str):
        yield Paragraph.of(node)
    else:
        for child in _children(node):
            yield from _parts(child, drawn)


def _chart(node: Any, drawn: dict[str, dict[str, Any]]) -> Chart:
    figure = next(each for each in _walk(node) if _kind(each) == "Figure")
    graph = next(each for each in _walk(node) if _kind(each) == "Graph")
    table = next((_table(each) for each in _walk(node) if _kind(each) == "Table"), None)
    told = figure.to_plotly_json()["props"].get("aria-label", "")
    return Chart(
        re.sub(r"[^\w-]", "-", graph.id.removeprefix("figure-")),
        told,
        lambda theme: drawn[theme.name].get(graph.id, graph.figure),
        table,
    )


def _tile(tile: Any) -> tuple[str, Cell]:
    label, *rest = map(_text, _children(tile))
    return label, ", ".join(filter(None, rest))


def _heading(node: Any) -> Heading:
    return Heading(_text(node), 2 if _kind(node) == "H2" else 3)


def _paragraph(node: Any) -> Paragraph:
    classes = str(getattr(node, "className", "") or "")
    kind = "lead" if "answer" in classes else "note" if "note" in classes else ""
    return Paragraph.of(_cell(node), kind=kind)  # type: ignore[arg-type]


def _cell(node: Any) -> Cell:
    for each in _walk(node):
        if "verdict-" in str(getattr(each, "className", "") or ""):
            tone = _TONES.get(each.className.rsplit("verdict-", 1)[1], "plain")
            return Word(_text(node), tone)  # type: ignore[arg-type]
    return Code(_text(node)) if _kind(node) in ("Code", "Pre") else _text(node)


def _table(node: Any) -> Table:
    heads = [each for each in _walk(node) if _kind(each) == "Th"]
    rows = [
        [_cell(cell) for cell in _children(row)]
        for body in _walk(node)
        if _kind(body) == "Tbody"
        for row in _children(body)
    ]
    caption = next((_text(each) for each in _walk(node) if _kind(each) == "Caption"), "")
    columns = [
        Column(_text(head), "number" in str(getattr(head, "className", "")), getattr(head, "title", "") or "")
        for head in heads
    ]
    return Table(caption, columns, rows)


def _facts(node: Any) -> Facts:
    words = [each for each in _walk(node) if _kind(each) in ("Dt", "Dd")]
    return Facts([(_text(name), _cell(value)) for name, value in zip(words[::2], words[1::2], strict=True)])


def _items(node: Any) -> Items:
    return Items([_cell(item) for item in _children(node)])


_MAKERS: dict[str, Callable[[Any], Part]] = {
    "H2": _heading,
    "H3": _heading,
    "P": _paragraph,
    "Pre": _paragraph,
    "Table": _table,
    "Dl": _facts,
    "Ul": _items,
    "Ol": _items,
}
