"""A report: one list of parts, read as HTML, Markdown or plain values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadlab.figures.document import Shown, document
from loadlab.figures.parts import Part
from loadlab.reports import markdown_parts

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Report:
    """`title` is the h1, `footnote` what the numbers are of; `values` are the same numbers for programs."""

    title: str
    parts: Sequence[Part]
    footnote: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def html(self, theme: Shown = "auto") -> str:
        """One self-contained file."""
        return document(self.title, self.parts, footnote=self.footnote, theme=theme)

    def markdown(self) -> str:
        """The same in Markdown; of a chart its finding and its rows."""
        return markdown_parts.render(self.title, self.parts, self.footnote)

    def json(self) -> str:
        """The numbers as one versioned JSON document."""
        return json.dumps({"schema": SCHEMA, **self.values}, indent=2, allow_nan=False) + "\n"
