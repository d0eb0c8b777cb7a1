"""What a level came to once its run was judged: numbers that are kept, so that history is quick to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loadlab.core.nouns import Verdict


@dataclass(frozen=True, slots=True)
class Statistic:
    """A measure of a level ("ttft_ms.p95"), with its 95 % interval where there is one, from `n` samples."""

    measure: str
    value: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True, slots=True)
class JudgedLevel:
    """What became of one level: its verdict, the class of hardware it met, and its numbers."""

    level: int
    verdict: Verdict
    hardware: str
    statistics: Sequence[Statistic]
