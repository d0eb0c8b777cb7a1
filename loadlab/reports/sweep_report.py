"""Sweeps side by side as a report: throughput against latency, the SLO, what a million tokens cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from loadlab import analysis
from loadlab.analysis import Summary
from loadlab.figures import MAX_SERIES, cost_curve, tradeoff
from loadlab.figures.answers import answer, figure_words, held
from loadlab.figures.axes import axis
from loadlab.figures.marks import COST
from loadlab.figures.parts import Cell, Chart, Code, Column, Facts, Heading, Items, Paragraph, Part, Table
from loadlab.figures.slo import MAX_ERROR_RATE, Limit
from loadlab.reports import as_json, cost
from loadlab.reports.level_parts import footnote, levels_table
from loadlab.reports.report import Report

_X, _Y = "interactivity_tok_s", "output_tokens_per_s"
_NOTE = (
    "Each point is a measured level, labelled with its users or its requests per second. The staircase joins "
    "the best that was reached. Hollow points are INVALID, faded ones beaten by another level on both axes."
)
Curves = Mapping[str, pd.DataFrame]


def sweep_report(store: Any, refs: Sequence[str], limits: Sequence[Limit]) -> Report:
    """The report of these runs under these limits. `store` is what `loadlab.store.open` returns."""
    runs = [store.run(ref) for ref in refs]
    summaries = [analysis.summary_of(store, run.id) for run in runs]
    names = _names(summaries)
    curves = {name: analysis.curve(summary) for name, summary in zip(names, summaries, strict=True)}
    title = "Throughput against latency: " + ", ".join(
        dict.fromkeys(summary.spec.endpoint.model for summary in summaries)
    )
    return Report(
        title,
        list(_parts(curves, summaries, limits)),
        footnote(summaries, [run.environment for run in runs]),
        {
            "slo": [{"column": limit.column, "value": limit.value} for limit in limits],
            "runs": [
                {**as_json.document(summary), "holds": _holds(curve, limits)}
                for summary, curve in zip(summaries, curves.values(), strict=True)
            ],
        },
    )


def _names(summaries: Sequence[Summary]) -> list[str]:
    """A name for each run that tells it from the others."""
    if len(summaries) == 1:
        return [f"{summaries[0].spec.endpoint.model} on {summaries[0].spec.endpoint.name}"]
    return [f"{each.spec.label or each.spec.endpoint.name} {each.run['id'][:20]}" for each in summaries]


def _holds(curve: pd.DataFrame, limits: Sequence[Limit]) -> str | None:
    level = held(curve, limits).level if limits else None
    return level["offered"] if level else None


def _parts(curves: Curves, summaries: Sequence[Summary], limits: Sequence[Limit]) -> Iterator[Part]:
    for name, curve in curves.items():
        yield Paragraph.of(answer(name, curve, limits), kind="lead")
    yield Items([f"{each.run['id']}: {reason}" for each in summaries for reason in each.run["reasons"]])
    yield Heading(f"{axis(_Y).label} against {axis(_X).brief}")
    yield from _tradeoffs(curves, limits)
    if limits:
        yield Heading("At the SLO")
        words = " and ".join(limit.words for limit in limits)
        more = f"with at most {MAX_ERROR_RATE:g} % errors. Measured loads only: nothing is interpolated."
        yield Paragraph.of(f"{words}, {more}", kind="note")
        yield _held_table(curves, limits)
    yield Heading("Cost")
    yield from _costs(curves, summaries, limits)
    yield Heading("Setting")
    for summary in summaries:
        yield Facts(_setting(summary))


def _tradeoffs(curves: Curves, limits: Sequence[Limit]) -> Iterator[Part]:
    yield Paragraph.of(_NOTE, kind="note")
    drawn = dict(list(curves.items())[:MAX_SERIES])
    for name, x in (("interactivity", _X), ("ttft", "ttft_ms_p95")):
        known = {key: curve for key, curve in drawn.items() if len(curve.dropna(subset=[x, _Y]))}
        if known:
            finding = " ".join(figure_words(key, curve, x, _Y) for key, curve in known.items())
            yield Chart(name, finding, partial(tradeoff, known, x, _Y, limits))
    yield levels_table(curves, limits)


def _held_table(curves: Curves, limits: Sequence[Limit]) -> Table:
    columns = [
        Column("Run", False),
        Column("Holds up to", False),
        Column("Output"),
        Column("Next load", False),
    ]
    rows: list[list[Cell]] = []
    for name, curve in curves.items():
        found = held(curve, limits)
        output = axis(_Y).text((found.level or {}).get(_Y))
        rows.append(
            [name, found.level["offered"] if found.level else "no measured load", output, found.headroom]
        )
    return Table("The highest load that holds the SLO", columns, rows)


def _costs(curves: Curves, summaries: Sequence[Summary], limits: Sequence[Limit]) -> Iterator[Part]:
    priced = {name: curve for name, curve in curves.items() if curve[COST].notna().any()}
    if priced:
        finding = " ".join(figure_words(name, curve, _Y, COST) for name, curve in priced.items())
        yield Chart("cost", finding, partial(cost_curve, priced, limits))
    yield Items([words for summary in summaries for words in cost.words(summary.levels)])


def _setting(summary: Summary) -> list[tuple[str, Cell]]:
    spec = summary.spec
    return [
        ("Run", Code(spec.id)),
        ("Scenario", f"{spec.scenario}, seed {spec.seed}"),
        ("Target", f"{spec.endpoint.name}: {spec.endpoint.url}"),
        ("Model", spec.endpoint.model),
        ("Output cap", f"{spec.max_tokens} tokens" if spec.max_tokens else ""),
    ]
