"""What to keep in mind when reading a Summary: small samples, partial counts, levels that never began."""

from __future__ import annotations

from collections.abc import Sequence

from loadlab.analysis.nouns import LevelSummary, Stored
from loadlab.analysis.percentiles import BEYOND, LEVELS, wanted
from loadlab.core.units import number

_SINGLE = 1.05
_AT_CAP = 0.9
_WARMER = 0.05


def notes_of(stored: Stored, levels: Sequence[LevelSummary]) -> tuple[str, ...]:
    """Every note of a run: what was said while it ran, then what its numbers ask for."""
    notes = (
        _running(stored),
        _missing(stored, len(stored.spec.levels) - len(levels)),
        _held_back(stored.spec.max_rate, levels),
        _prompts(levels),
        _cache(stored, levels),
        _lengths(levels),
        _events(levels),
        _small(levels),
    )
    return (*stored.notes, *(note for note in notes if note))


def _running(stored: Stored) -> str | None:
    return "the run is still going: these are its numbers so far" if stored.state == "running" else None


def _missing(stored: Stored, missing: int) -> str | None:
    if missing <= 0 or stored.state == "finished":  # what a sweep skipped, it has noted itself
        return None
    words = "are still to come" if stored.state == "running" else "never began"
    return f"{missing} of {len(stored.spec.levels)} levels {words}"


def _held_back(max_rate: float | None, levels: Sequence[LevelSummary]) -> str | None:
    """A closed loop at its cap on the rate shows the cap, not the server."""
    if max_rate is None:
        return None
    held = [level.label for level in levels if (level.achieved_per_s or 0.0) >= _AT_CAP * max_rate]
    held = [label for label in held if "req/s" not in label]
    return f"held back to {max_rate:g} requests per second by --max-rate: {', '.join(held)}" if held else None


def _prompts(levels: Sequence[LevelSummary]) -> str | None:
    unknown = sum(level.unknown_prompts for level in levels)
    if not unknown:
        return None
    return f"prompt tokens of {unknown:,} answers are unknown: total throughput and blended cost miss them"


def _cache(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """Prompts that recur are known to a prefix cache: later levels are then served faster than first ones."""
    known = [(level, level.signs.cached) for level in levels if level.signs.cached]
    if not known:
        return None
    (first, (begin, _)) = known[0]
    warmest, most = max(((level, max(halves)) for level, halves in known), key=lambda pair: pair[1])
    if most - begin < _WARMER:
        return None
    avoided = "" if stored.spec.fresh_prompts else "; --fresh-prompts avoids it"
    return (
        f"prompts recurred: {begin:.0%} of prompt tokens came from the server's cache at first "
        f"({first.title}), {most:.0%} later ({warmest.title}), which makes TTFT and cost lower than for "
        f"prompts it has not seen{avoided}"
    )


def _lengths(levels: Sequence[LevelSummary]) -> str | None:
    """Answers of mixed lengths make end-to-end times and rates a matter of what was asked."""
    ended, reached = (
        sum(level.lengths.get(name, 0) for level in levels) for name in ("ended_before", "reached_max_tokens")
    )
    if not ended or not reached:
        return None
    return f"output length: {reached:,} of {reached + ended:,} answers reached their max_tokens"


def _events(levels: Sequence[LevelSummary]) -> str | None:
    most = max((level.signs.tokens_per_event or 0.0 for level in levels), default=0.0)
    if most <= _SINGLE:
        return None
    return f"an event carried up to {number(most)} tokens on average: itl_ms is between events, not tokens"


def _small(levels: Sequence[LevelSummary]) -> str | None:
    """A p-quantile wants 10 / (1 - p) samples; below that a handful of requests decides it."""
    counts = [level.requests["ok"] for level in levels if level.requests["ok"]]
    fewest = min(counts, default=0)
    small = {name: wanted(p) for name, p in LEVELS.items() if 0 < fewest < wanted(p)}
    if not small:
        return None
    few = [n for n in counts if n < max(small.values())]
    n = f"{fewest:,}" if fewest == max(few) else f"{fewest:,} to {max(few):,}"
    takes = ", ".join(f"{count:,} for {name}" for name, count in small.items())
    return f"small samples ({n} requests): for {BEYOND} to lie beyond a percentile it takes {takes}"
