"""Comparisons as text, Markdown and JSON: what differs between the runs first, then metric by metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from loadlab.analysis.compare import Comparison, Difference
from loadlab.core.units import number
from loadlab.reports.text import labelled

HEADS = ("metric", "unit", "base", "against", "ratio", "95 % interval", "verdict")
_CELLS: tuple[Callable[[Difference], str], ...] = (
    lambda found: found.measure.name,
    lambda found: found.measure.of.unit,
    lambda found: number(found.a),
    lambda found: number(found.b),
    lambda found: ratio(found.ratio),
    lambda found: span(found.low, found.high),
    lambda found: f"{found.verdict}{' *' if found.why else ''}",
)


def ratio(value: float | None) -> str:
    """ "× 1.032", a dash when unknown."""
    return "–" if value is None else f"× {value:.3f}"


def span(low: float | None, high: float | None) -> str:
    """ "0.981 … 1.102", a dash when unknown."""
    return "–" if low is None or high is None else f"{low:.3f} … {high:.3f}"


def render(comparisons: Sequence[Comparison]) -> str:
    """Plain text of at most 100 columns."""
    return "\n".join("\n".join(_block(each)) for each in comparisons).rstrip() + "\n"


def _block(found: Comparison) -> list[str]:
    lines = [
        *labelled("base", ", ".join(found.a)),
        *labelled("against", ", ".join(found.b)),
        *_listed("differs", [f"{each.words}{' (grave)' * each.grave}" for each in found.environment]),
        *_listed("doubts", found.doubts),
    ]
    if found.refused:
        return [*lines, *labelled("refused", found.refused), ""]
    return [*lines, "", *_table(found.differences), "", *_listed("*", _whys(found.differences))]


def _listed(label: str, texts: Sequence[str]) -> list[str]:
    return [line for at, text in enumerate(texts) for line in labelled("" if at else label, text)]


def _table(found: Sequence[Difference]) -> list[str]:
    rows = [HEADS, *([cell(each) for cell in _CELLS] for each in found)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEADS))]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.rjust(width) if 2 <= at <= 5 else text.ljust(width)
        for at, (text, width) in enumerate(zip(row, widths, strict=True))
    ]


def _whys(found: Sequence[Difference]) -> list[str]:
    """Each reason once, with the metrics it is about."""
    about: dict[str, list[str]] = {}
    for each in found:
        if each.why:
            about.setdefault(each.why, []).append(each.measure.name)
    return [f"{', '.join(names)}: {why}" if len(about) > 1 else why for why, names in about.items()]


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Tables for a pull request."""
    return "\n".join("\n".join(_section(each)) for each in comparisons)


def _section(found: Comparison) -> list[str]:
    head = [f"### {', '.join(found.b)} against {', '.join(found.a)}", ""]
    head += [f"- {'**differs**' if each.grave else 'differs'}: {each.words}" for each in found.environment]
    head += [f"- doubt: {text}" for text in found.doubts]
    if found.refused:
        return [*head, f"- **refused**: {found.refused}", ""]
    rows: list[tuple[str, ...]] = [HEADS, (":--", ":--", "--:", "--:", "--:", "--:", ":--")]
    rows += [tuple(cell(each) for cell in _CELLS) for each in found.differences]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [*head, "", *lines, "", *(f"- * {why}" for why in _whys(found.differences)), ""]


def document(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Plain values; what is unknown is None."""
    return {"comparisons": [_plain(each) for each in comparisons]}


def _plain(found: Comparison) -> dict[str, Any]:
    return {
        "base": list(found.a),
        "against": list(found.b),
        "environment": [asdict(each) for each in found.environment],
        "refused": found.refused,
        "doubts": list(found.doubts),
        "metrics": [
            {
                "metric": each.measure.name,
                "unit": each.measure.of.unit,
                "better": each.measure.of.better,
                "base": each.a,
                "against": each.b,
                "ratio": each.ratio,
                "low": each.low,
                "high": each.high,
                "verdict": each.verdict,
                "why": each.why,
            }
            for each in found.differences
        ],
    }
