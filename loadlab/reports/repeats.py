"""How much the repeats of a load differ, in words: what one level alone cannot show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, stdev

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.units import number

_SHOWN: tuple[tuple[str, str, Callable[[LevelSummary], float | None]], ...] = (
    ("TTFT p95", "ms", lambda level: level.metrics["ttft_ms"]["p95"]),
    ("ITL p50", "ms", lambda level: level.metrics["itl_ms"]["p50"]),
    ("output", "tok/s", lambda level: level.rates["output_tokens_per_s"]),
)


def words(levels: Sequence[LevelSummary]) -> list[str]:
    """One sentence for each load that was measured more than once, lightest first as they were measured."""
    loads = dict.fromkeys(level.label for level in levels if level.repeat is not None)
    alike = ([level for level in levels if level.label == label] for label in loads)
    return [_sentence(each) for each in alike if len(each) > 1]


def _sentence(levels: Sequence[LevelSummary]) -> str:
    shown = (_scatter(name, unit, [of(level) for level in levels]) for name, unit, of in _SHOWN)
    return f"{levels[0].label} × {len(levels)}: {', '.join(each for each in shown if each)}"


def _scatter(name: str, unit: str, values: Iterable[float | None]) -> str:
    """Mean and coefficient of variation over the repeats; empty where it was not measured in all of them."""
    known = list(values)
    numbers = [value for value in known if value]
    if len(numbers) < max(2, len(known)):
        return ""
    return f"{name} {number(fmean(numbers))} {unit} (varies by {stdev(numbers) / fmean(numbers):.1%})"
