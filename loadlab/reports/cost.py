"""What a run cost, in words: the sum and its basis, the waste, the SLO, caching, energy."""

from __future__ import annotations

from collections.abc import Sequence

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.units import number, usd


def words(levels: Sequence[LevelSummary]) -> list[str]:
    """Sentences about the cost of these levels; the first says what it was, or why it is not known."""
    found = (_sum(levels), _waste(levels), _warmup(levels), _slo(levels), _prompts(levels), _energy(levels))
    remarks = [remark for level in levels for remark in level.cost["remarks"]]
    return [*(words for words in found if words), *dict.fromkeys(remarks)]


def _sum(levels: Sequence[LevelSummary]) -> str:
    """The sum of what is known, and the basis of the first level; by the hour, only the seconds differ."""
    priced = [level for level in levels if level.cost["usd_at_least"] is not None]
    if not priced:
        return levels[0].cost["basis"] if levels else ""
    total = number(sum(level.cost["usd_at_least"] for level in priced))
    least = "" if all(level.cost["usd"] is not None for level in priced) else "at least "
    others = _more("likewise", len(priced) - 1) + _more("unknown for", len(levels) - len(priced))
    return f"{least}${total} · {priced[0].cost['basis']}{others}"


def _more(words: str, n: int) -> str:
    return f"; {words} {n} {'level' if n == 1 else 'levels'}" if n else ""


def _waste(levels: Sequence[LevelSummary]) -> str:
    failed = [
        level for level in levels if level.requests["failed"] and level.cost["usd_at_least"] is not None
    ]
    known = [level.cost["wasted_usd"] for level in failed if level.cost["wasted_usd"] is not None]
    if len(known) < len(failed):
        return "wasted on requests that failed: not known, as they did not report what they used"
    return f"wasted: ${number(sum(known))} of it on requests that failed" if sum(known) else ""


def _warmup(levels: Sequence[LevelSummary]) -> str:
    spent = sum(level.cost["warmup_usd"] or 0.0 for level in levels)
    return f"warm-up: ${number(spent)} more, in none of these figures" if spent else ""


def _slo(levels: Sequence[LevelSummary]) -> str:
    """The cheapest level whose money bought answers within the SLO, beside the cheapest of all."""
    name = "usd_per_mtok_output_at_slo"
    kept = [level for level in levels if level.cost[name] is not None]
    if not kept:
        return ""
    best = min(kept, key=lambda level: level.cost["usd_per_mtok_output"])
    good = min(kept, key=lambda level: level.cost[name])
    return (
        f"per million output tokens: {usd(good.cost[name])} at the SLO ({good.label}), "
        f"{usd(best.cost['usd_per_mtok_output'])} best case ({best.label})"
    )


def _prompts(levels: Sequence[LevelSummary]) -> str:
    known = [level.cost for level in levels if level.cost["usd_per_mtok_input_effective"] is not None]
    if not known:
        return ""
    effective = [cost["usd_per_mtok_input_effective"] for cost in known]
    span = usd(min(effective)) + (f" to {usd(max(effective))}" if len(known) > 1 else "")
    return f"prompts: {span}/Mtok after caching, list price {usd(known[0]['usd_per_mtok_input_list'])}/Mtok"


def _energy(levels: Sequence[LevelSummary]) -> str:
    parts = []
    for name, words in (("energy_usd", "${} of energy"), ("co2e_kg", "{} kg CO2e")):
        known = [level.cost[name] for level in levels if level.cost[name] is not None]
        if known and len(known) == len(levels):
            parts.append(words.format(number(sum(known))))
    return f"energy: {', '.join(parts)}" if parts else ""
