"""A server against itself: how often a rule failed though nothing had changed, and what it can find.

Knows the documents of such gates, newest first. A rule that cries wolf is demoted and blocks nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadlab.analysis.distributions import student_quantile
from loadlab.analysis.intervals import wilson
from loadlab.analysis.multiple import ALPHA
from loadlab.gates.planning import smallest

PREFIX = "aa-"
LAST = 100
FEWEST = 20
MOST_FALSE = 0.05

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tally:
    """One rule over `n` gates of a server against itself; `finds` is the smallest regression it finds."""

    rule: str
    n: int
    failed: int
    open: int
    low: float
    high: float
    finds: float | None

    @property
    def demoted(self) -> bool:
        """Whether it failed too often to block a build."""
        return self.n >= FEWEST and self.failed > MOST_FALSE * self.n


def tally(documents: Sequence[Document], tolerance: float) -> list[Tally]:
    """Each rule of `regress` over the newest hundred gates that could be judged."""
    judged = [each for each in documents if each["gate"]["outcome"] != "INVALID"][:LAST]
    rules = {
        check["rule"]: check for each in judged for check in each["checks"] if check["kind"] == "regress"
    }
    return [_tally(rule, judged, len(rules), tolerance) for rule in rules]


def _tally(rule: str, judged: Sequence[Document], primaries: int, tolerance: float) -> Tally:
    checks = [
        check for each in judged for check in each["checks"]
        if check["rule"] == rule and check["kind"] == "regress"
    ]  # fmt: skip
    failed = sum(check["outcome"] == "FAIL" for check in checks)
    low, high = wilson(failed / len(checks), len(checks))
    inconclusive = sum(check["outcome"] == "INCONCLUSIVE" for check in checks)
    return Tally(rule, len(checks), failed, inconclusive, low, high, _finds(checks, primaries, tolerance))


def _finds(checks: Sequence[Document], primaries: int, tolerance: float) -> float | None:
    """From the width of the intervals; None where no gate had enough pairs."""
    known = [check for check in checks if check["low"] and check["n"] > 1]
    if not known:
        return None
    pairs = min(check["n"] for check in known)
    squares = [_sd(check) ** 2 for check in known]
    return smallest(pairs, math.sqrt(sum(squares) / len(squares)), primaries, tolerance)


def _sd(check: Document) -> float:
    half = math.log(check["high"] / check["low"]) / 2
    return half * math.sqrt(check["n"]) / student_quantile(1 - ALPHA, check["n"] - 1)
