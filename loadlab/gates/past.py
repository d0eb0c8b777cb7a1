"""What became of gates over time: outcomes per day, and per rule how often it failed, never did, or wavered.

Knows the stored documents of gates. A rule wavers where gates of one commit let it both pass and fail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]

OUTCOMES = ("PASS", "FAIL", "INCONCLUSIVE", "INVALID")
FEWEST = 5


@dataclass(frozen=True, slots=True)
class RulePast:
    """One blocking rule over the gates that judged it.

    `twice`: commits that were judged more than once; `wavered`: those of them with both PASS and FAIL.
    """

    rule: str
    kind: str
    n: int
    failed: int
    open: int
    twice: int
    wavered: int

    @property
    def never_fires(self) -> bool:
        """Whether it has been judged often enough to wonder if it can fail at all."""
        return self.n >= FEWEST and not self.failed


def per_day(documents: Sequence[Document]) -> dict[str, dict[str, int]]:
    """Gates per UTC day ("2026-11-21", in order) and outcome."""
    days: dict[str, dict[str, int]] = {}
    for each in documents:
        counts = days.setdefault(each["gate"]["at"][:10], dict.fromkeys(OUTCOMES, 0))
        counts[each["gate"]["outcome"]] += 1
    return dict(sorted(days.items()))


def by_rule(documents: Sequence[Document], commits: Mapping[str, str]) -> list[RulePast]:
    """Every rule that can block; `commits` gives the commit of a gate's id, where it is known."""
    found: dict[tuple[str, str], list[tuple[str | None, str]]] = {}
    for each in documents:
        for check in each["checks"]:
            if check["outcome"] != "INFO":
                judged = (commits.get(each["gate"]["id"]), check["outcome"])
                found.setdefault((check["rule"], check["kind"]), []).append(judged)
    past = [_past(rule, kind, judged) for (rule, kind), judged in found.items()]
    return sorted(past, key=lambda rule: (-rule.failed, -rule.n, rule.rule))


def _past(rule: str, kind: str, judged: Sequence[tuple[str | None, str]]) -> RulePast:
    of_commit: dict[str, list[str]] = {}
    for commit, outcome in judged:
        if commit and outcome in ("PASS", "FAIL"):
            of_commit.setdefault(commit, []).append(outcome)
    again = [set(outcomes) for outcomes in of_commit.values() if len(outcomes) > 1]
    outcomes = [outcome for _, outcome in judged]
    return RulePast(
        rule, kind, len(judged), outcomes.count("FAIL"), outcomes.count("INCONCLUSIVE"), len(again),
        sum(len(each) > 1 for each in again),
    )  # fmt: skip
