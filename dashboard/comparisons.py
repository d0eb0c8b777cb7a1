"""What two runs differ in, as a table, wherever it is asked. Knows facts and words, no run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash import html

from loadlab.analysis.comparable import Apart

from .components import Column, table


def apart_table(found: Sequence[Apart], a: str, b: str) -> Any:
    """The facts in which two sides differ, gravest first; `a` and `b` name the sides."""
    if not found:
        return html.P(
            "Nothing that is recorded differs: model, scenario, load, versions and machine are alike."
        )
    columns = (
        Column("", "grave", number=False),
        Column("What", "name", number=False),
        Column(a, "a", number=False),
        Column(b, "b", number=False),
    )
    rows = [
        {
            "grave": html.Span("✕ not comparable", className="verdict verdict-invalid")
            if each.grave
            else html.Span("– noted", className="verdict"),
            "name": each.name,
            "a": each.a,
            "b": each.b,
        }
        for each in found
    ]
    return table(columns, rows, "What differs")
