"""How wrong the client itself may be, in one line: text and Markdown share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loadlab.analysis.nouns import LevelSummary


def words(levels: Sequence[LevelSummary]) -> str:
    """The expected error of the level with the largest; where none is known, why. Empty without levels."""
    stated = [level for level in levels if level.accuracy]
    known = [level for level in stated if level.accuracy["ttft_p50_ms"] is not None]
    if not known:
        return str(stated[0].accuracy["basis"]) if stated else ""
    worst = max(known, key=lambda level: float(level.accuracy["ttft_p99_ms"]))
    where = f" at {worst.label}" if len(levels) > 1 else ""
    unknown = [level for level in stated if level not in known]
    others = f"; {unknown[-1].label}: {unknown[-1].accuracy['basis']}" if unknown else ""
    return f"expected error{where}: {_errors(worst.accuracy)} ({worst.accuracy['basis']}){others}"


def _errors(accuracy: Mapping[str, Any]) -> str:
    ttft, itl = (
        " and ".join(f"{signed(accuracy[f'{metric}_{stat}_ms'])} ms {stat}" for stat in ("p50", "p99"))
        for metric in ("ttft", "itl")
    )
    return f"TTFT {ttft}, ITL {itl}"


def signed(value: float | None) -> str:
    """An error in ms with its sign; three digits after the point where it is small, a dash when unknown."""
    if value is None:
        return "–"
    return f"{value:+.3f}" if abs(value) < 1 else f"{value:+.2f}" if abs(value) < 10 else f"{value:+,.0f}"
