"""VALID, SUSPECT or INVALID: whether a measurement can be believed, each reason with its value and limit.

The tables are the rules: how grave, what is looked at, the limit and why it is there. docs/metrics.md prints
them. A small sample is a note, not a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from loadlab.analysis import answer_rules as answers
from loadlab.analysis import generator_rules as generator
from loadlab.analysis import steady, warmup
from loadlab.analysis.nouns import LevelSummary, Stored
from loadlab.core.nouns import Verdict

_SEVERITY: tuple[Verdict, ...] = ("VALID", "SUSPECT", "INVALID")
_LOST = re.compile(r"^(.+) was lost during the run (\(.+?\)): ")
_DROPPED = re.compile(r"arrivals?\b.*\bdropped|dropped\b.*\barrivals?", re.IGNORECASE)

Check = TypeVar("Check")


@dataclass(frozen=True, slots=True)
class Rule(Generic[Check]):
    """How grave it is when `check` answers; `what`, `limit` and `why` in words for people."""

    verdict: Verdict
    check: Check
    what: str
    limit: str
    why: str


def interrupted(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """Less was measured than asked for."""
    if stored.state != "interrupted":
        return None
    planned, done = len(stored.spec.levels), sum(level.finished for level in levels)
    n = sum(level.requests["sent"] for level in levels)
    return f"interrupted: {done} of {planned} levels complete, {n} measured requests kept"


def nothing_recorded(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """Not even a level began."""
    return None if levels else f"no level began: 0 of {len(stored.spec.levels)}, at least 1 is needed"


def dropped_in_notes(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """As dropped arrivals, where a load worker reported it in words."""
    open_loop = any("rate" in level.offered for level in levels)
    dropped = [note for note in stored.notes if _DROPPED.search(note)]
    return f"{'; '.join(dropped)}, limit 0" if open_loop and dropped else None


def lost_generator(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """Less load than asked for, and the slow requests of the moment of loss are missing."""
    lost = losses(stored)
    return f"lost during the run: {', '.join(lost)}, limit 0" if lost else None


def losses(stored: Stored) -> list[str]:
    """The load workers and load hosts that were lost while the others went on, and how."""
    return [f"{found[1]} {found[2]}" for note in stored.notes if (found := _LOST.match(note))]


LEVEL_RULES: tuple[Rule[Callable[[LevelSummary], str | None]], ...] = (
    Rule("INVALID", answers.no_success, "no request succeeded", "at least 1", "nothing was measured"),
    Rule(
        "INVALID", generator.late_generator, "the generator was late: p99 of `send_lag_ms`",
        f"{generator.LAG_MS:g} ms, or {generator.LAG_SHARE_OF_TTFT:.0%} of the median `ttft_ms` if larger",
        "its own lag is no longer small against what it measures",
    ),
    Rule(
        "INVALID", generator.dropped_arrivals, "planned arrivals of an open loop were never sent", "0",
        "a schedule with holes is another schedule",
    ),
    Rule(
        "INVALID", answers.mostly_failed, "requests failed, of those that ended",
        f"{answers.FAILED_INVALID:.0%}", "the few that succeeded say little about the endpoint",
    ),
    Rule(
        "SUSPECT", generator.stalled_generator, "the generator's event loop was blocked",
        f"{generator.STALL_MS:g} ms", "what arrived meanwhile was stamped late",
    ),
    Rule(
        "SUSPECT", generator.busy_generator, "CPU of a load worker, p95",
        f"{generator.CPU_PERCENT:g} % of a core", "near a full core its own reads queue",
    ),
    Rule(
        "SUSPECT", generator.queued_in_client, "requests waited in the client for a place in flight",
        f"0 longer than {generator.QUEUED_MS:g} ms",
        "the cap and not the schedule decided when they were sent",
    ),
    Rule(
        "SUSPECT", generator.slow_recorder, "exchanges not yet written; or decoded long after they ended",
        f"{generator.BACKLOG:,}; {generator.BEHIND_S:g} s", "what waits fills memory, and is lost in a crash",
    ),
    Rule(
        "SUSPECT", generator.cut_schedule,
        "an open loop's schedule was cut by an interruption, by a loss, or because it was over capacity",
        "0", "what was played is a part of the load asked for",
    ),
    Rule(
        "SUSPECT", generator.missed_rate, "open loop: sends per second below its own seeded schedule",
        f"{generator.RATE_SLACK:.0%} and {generator.LAG_MS:g} ms; where the schedule cannot be had, "
        f"{generator.RATE_SLACK:.0%} + 3/√n of the offered rate",
        "the load was not the one asked for; a Poisson schedule's own scatter is no fault",
    ),
    Rule(
        "SUSPECT", answers.unstable,
        "open loop, 30 s or longer: requests under way and TTFT from plan both rose",
        f"{steady.GROWTH_SHARE:.0%} of their means, both slopes with t ≥ {steady.GROWTH_T:g}",
        "over capacity latency grows with the length of the level: it has no percentile",
    ),
    Rule(
        "SUSPECT", answers.unbalanced, "Little's law: requests under way against rate × latency",
        f"{steady.LITTLE_SLACK:.0%} and what the two ends of the level explain",
        "latency changed on the way, or times are wrong",
    ),
    Rule(
        "SUSPECT", answers.warming_up,
        "the beginning differs from the rest (MSER-5 on TTFT and TPOT; 200 answers or more)",
        f"{warmup.CUT_SHARE:.0%} of the requests, where the means are {warmup.APART_SHARE:.0%} and "
        f"t ≥ {warmup.APART_T:g} apart",
        "how long the warm-up is decides the percentiles; give a longer --warmup",
    ),
    Rule(
        "SUSPECT", answers.some_failed, "requests failed, of those that ended",
        f"{answers.FAILED_SUSPECT:.0%}", "failures are often the slow requests",
    ),
    Rule(
        "SUSPECT", answers.cancelled, "requests were cancelled under way", "0", "they are the slow ones",
    ),
    Rule(
        "SUSPECT", answers.uncertain_counts,
        "output tokens not counted by the server: counted from events, or unknown", "0 answers",
        "a chunk is not a token",
    ),
    Rule(
        "SUSPECT", answers.strange_counts, "the server's output tokens per event that carried output",
        f"{answers.FEWEST_TOKENS_PER_EVENT:g} to {answers.MOST_TOKENS_PER_EVENT:g}",
        "usage and stream disagree on what a token is",
    ),
    Rule(
        "SUSPECT", answers.overlong_answers, "answers with more output tokens than their `max_tokens`",
        "0 answers", "the count, or the cap, is not what it says",
    ),
)  # fmt: skip

RUN_RULES: tuple[Rule[Callable[[Stored, Sequence[LevelSummary]], str | None]], ...] = (
    Rule("INVALID", nothing_recorded, "no level began", "at least 1", "nothing was measured"),
    Rule(
        "INVALID", dropped_in_notes, "a load worker noted dropped arrivals", "0",
        "a schedule with holes is another schedule",
    ),
    Rule("SUSPECT", interrupted, "the run was interrupted", "–", "less was measured than asked for"),
    Rule(
        "SUSPECT", lost_generator, "a load worker or load host was lost and the others went on", "0",
        "less load than asked for, and its requests under way are missing",
    ),
)  # fmt: skip


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of the verdicts; VALID when there are none."""
    return max(verdicts, key=_SEVERITY.index, default="VALID")


def judge(level: LevelSummary) -> LevelSummary:
    """The level with its verdict and reasons."""
    fired = _fired(level)
    reasons = tuple(reason for _, reason in fired)
    return replace(level, verdict=worst(verdict for verdict, _ in fired), reasons=reasons)


def judge_run(stored: Stored, levels: Sequence[LevelSummary]) -> tuple[Verdict, tuple[str, ...]]:
    """The run's verdict, the worst of its levels and its own rules, and every reason, gravest first."""
    fired = [(rule.verdict, reason) for rule in RUN_RULES if (reason := rule.check(stored, levels))]
    for level in levels:
        where = f"{level.title}: " if len(levels) > 1 else ""
        fired += [(verdict, f"{where}{reason}") for verdict, reason in _fired(level)]
    fired.sort(key=lambda pair: -_SEVERITY.index(pair[0]))
    return worst(verdict for verdict, _ in fired), tuple(reason for _, reason in fired)


def _fired(level: LevelSummary) -> list[tuple[Verdict, str]]:
    return [(rule.verdict, reason) for rule in LEVEL_RULES if (reason := rule.check(level))]
