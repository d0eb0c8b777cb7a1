"""docs/glossary.md as sections, texts and tables. Reads the few forms of Markdown that page is written in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from dash import html

_HERE = Path(__file__).parent
# In a wheel the page lies beside this file, in a checkout in docs/.
_PLACES = (_HERE / "glossary.md", _HERE.parent / "docs" / "glossary.md")
_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]+\)")


@dataclass(slots=True)
class Part:
    """A section of the glossary: its heading, its terms as (word, meaning), and the text around them."""

    title: str
    terms: list[tuple[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@cache
def parts() -> tuple[Part, ...]:
    """The sections in order; none where the page was not shipped."""
    found = next((place for place in _PLACES if place.is_file()), None)
    return tuple(_parts(found.read_text(encoding="utf-8"))) if found else ()


def _parts(page: str) -> Iterator[Part]:
    for block in page.split("\n## ")[1:]:
        title, _, body = block.partition("\n")
        part = Part(title.strip())
        for paragraph in filter(None, (each.strip() for each in body.split("\n\n"))):
            if paragraph.startswith("|"):
                part.terms += _rows(paragraph)
            else:
                part.texts.append(" ".join(paragraph.split()))
        yield part


def _rows(table: str) -> Iterator[tuple[str, str]]:
    for line in table.splitlines()[2:]:
        word, _, meaning = line.strip().strip("|").partition("|")
        yield word.strip(), meaning.strip()


def inline(text: str) -> list[Any]:
    """Code, bold and links of a line as elements; a link to a file of docs/ keeps its words only."""
    found: list[Any] = []
    last = 0
    for match in _INLINE.finditer(text):
        found.append(text[last : match.start()])
        code, bold, link = match.groups()
        found.append(html.Code(code) if code else html.Strong(bold) if bold else link)
        last = match.end()
    return [part for part in (*found, text[last:]) if part != ""]


def plain(text: str) -> str:
    """The words of a line without their marks."""
    return _INLINE.sub(lambda match: next(part for part in match.groups() if part), text)
