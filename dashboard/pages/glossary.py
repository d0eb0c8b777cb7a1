"""Glossary: what each metric is made of, and what each word means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, dcc, html, no_update

from loadlab.core.metrics import METRICS, Metric
from loadlab.figures import Theme

from .. import url
from ..components import Column, empty, page, section, table
from ..glossary_text import Part, inline, parts, plain
from ..source import Source

PATH = "/glossary"
TITLE = "Glossary"
_METRICS = (
    Column("Metric", "label", number=False),
    Column("Unit", "unit", number=False),
    Column("Better", "better", number=False),
    Column("Formula", "formula", number=False),
    Column("Means", "help", number=False),
)
_WORDS = (Column("Word", "word", number=False), Column("Means", "means", number=False))
_PER = {
    "request": "Of each request",
    "gap": "Of each gap between two outputs",
    "level": "Of a level as a whole",
}


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The metrics of the registry, then the words; `q` leaves those that have it."""
    words = (query.get("q") or "").strip().lower()
    metrics = [metric for metric in METRICS.values() if words in _text(metric)]
    found = [part for part in map(_only(words), parts()) if part.terms]
    count = sum(len(part.terms) for part in found)
    return page(
        TITLE,
        f"{len(metrics)} metrics and {count} words{f' with “{words}” in them' if words else ''}.",
        _search(query),
        *_sections(metrics, found),
    )


def register(app: Dash, source: Source) -> None:
    """What is typed becomes part of the URL."""

    @app.callback(  # type: ignore[untyped-decorator]
        Output("url", "search", allow_duplicate=True),
        Input("glossary-words", "value"),
        State("url", "search"),
        prevent_initial_call=True,
    )
    def search(words: str, shown: str) -> Any:
        query = url.read(shown)
        same = (words or "").strip() == query.get("q", "")
        return no_update if same else url.write({**query, "q": words.strip()})


def _search(query: Mapping[str, str]) -> dmc.TextInput:
    return dmc.TextInput(
        id="glossary-words", value=query.get("q") or "", debounce=400, w=320, placeholder="Find a word",
        **{"aria-label": "Find a word"},
    )  # fmt: skip


def _sections(metrics: Iterable[Metric], found: Iterable[Part]) -> list[Any]:
    groups = {per: [metric for metric in metrics if metric.per == per] for per in _PER}
    of_metrics = [
        section(
            f"Metrics: {_PER[per][0].lower()}{_PER[per][1:]}", table(_METRICS, map(_metric, group), _PER[per])
        )
        for per, group in groups.items()
        if group
    ]
    of_words = [section(part.title, *_part(part)) for part in found]
    if of_metrics or of_words:
        return [*of_words, *of_metrics]
    return [empty("No metric and no word matches.", (), dcc.Link("Show all", href=PATH))]


def _part(part: Part) -> list[Any]:
    rows = [{"word": inline(word), "means": inline(means)} for word, means in part.terms]
    return [table(_WORDS, rows, part.title), *(html.P(inline(text), className="note") for text in part.texts)]


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "label": [html.Div(metric.label), html.Div(html.Code(metric.name), className="below")],
        "unit": metric.unit or "–",
        "better": {"lower": "lower", "higher": "higher", "neither": "–"}[metric.better],
        "formula": html.Code(metric.formula),
        "help": metric.help,
    }


def _text(metric: Metric) -> str:
    return f"{metric.name} {metric.label} {metric.unit} {metric.help}".lower()


def _only(words: str) -> Any:
    def kept(part: Part) -> Part:
        terms = [term for term in part.terms if words in plain(" ".join(term)).lower()]
        return Part(part.title, terms, part.texts if not words else [])

    return kept
