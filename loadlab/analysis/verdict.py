"""VALID, SUSPECT or INVALID: whether a measurement can be believed, each reason with its value and limit.

A rule looks at one level (or at the run) and answers one sentence, or None. The tables at the end list them.
The limits: docs/metrics.md. A small sample is a note, not a verdict.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from loadlab.analysis.nouns import LevelSummary, Stored
from loadlab.core.nouns import Verdict
from loadlab.core.units import number

LAG_MS, LAG_SHARE_OF_TTFT = 5.0, 0.02
STALL_MS = 100.0
CPU_PERCENT = 80.0
FAILED_SUSPECT, FAILED_INVALID = 0.01, 0.50
RATE_SLACK = 0.02

_SEVERITY: tuple[Verdict, ...] = ("VALID", "SUSPECT", "INVALID")
_LOST = re.compile(r"^(.+) was lost during the run (\(.+?\)): ")
_DROPPED = re.compile(r"arrivals?\b.*\bdropped|dropped\b.*\barrivals?", re.IGNORECASE)


def no_success(level: LevelSummary) -> str | None:
    """Nothing was measured."""
    if level.requests["ok"]:
        return None
    return f"no request succeeded: 0 of {level.requests['sent']}, at least 1 is needed"


def late_generator(level: LevelSummary) -> str | None:
    """The lag of its own sends is no longer small against what it measures."""
    lag, ttft = level.metrics["send_lag_ms"]["p99"], level.metrics["ttft_ms"]["p50"]
    limit = max(LAG_MS, LAG_SHARE_OF_TTFT * (ttft or 0.0))
    if lag is None or lag <= limit:
        return None
    return f"generator late: p99 send lag {number(lag)} ms, limit {number(limit)} ms"


def dropped_arrivals(level: LevelSummary) -> str | None:
    """A schedule with holes is another schedule."""
    dropped = level.requests["errors"].get("dropped", 0)
    return f"{dropped} planned arrivals dropped, limit 0" if dropped else None


def mostly_failed(level: LevelSummary) -> str | None:
    """The few that succeeded say little about the endpoint."""
    if not level.requests["ok"] or _failed_share(level) < FAILED_INVALID:
        return None
    return f"{_failed_words(level)}, limit {FAILED_INVALID:.0%}"


def some_failed(level: LevelSummary) -> str | None:
    """Failures are often the slow requests; without them the rest looks faster."""
    if not level.requests["ok"] or not FAILED_SUSPECT < _failed_share(level) < FAILED_INVALID:
        return None
    return f"{_failed_words(level)}, limit {FAILED_SUSPECT:.0%}"


def cancelled(level: LevelSummary) -> str | None:
    """Those still under way at the end are the slow ones; without them the rest looks faster."""
    n = _cancelled(level)
    return f"{n} of {level.requests['sent']} requests cancelled under way, limit 0" if n else None


def _cancelled(level: LevelSummary) -> int:
    """Requests that the generator itself broke off; they say nothing about the server."""
    return int(level.requests["errors"].get("cancelled", 0))


def _failed_and_ended(level: LevelSummary) -> tuple[int, int]:
    failed: int = level.requests["failed"] - _cancelled(level)
    return failed, failed + level.requests["ok"]


def _failed_share(level: LevelSummary) -> float:
    failed, ended = _failed_and_ended(level)
    return failed / ended


def _failed_words(level: LevelSummary) -> str:
    failed, ended = _failed_and_ended(level)
    return f"{failed} of {ended} requests failed ({failed / ended:.1%})"


def stalled_generator(level: LevelSummary) -> str | None:
    """While the event loop is blocked, what arrives is stamped late."""
    stall = level.generator["hub_stall_ms_max"]
    if stall is None or stall < STALL_MS:
        return None
    return f"generator stalled: event loop blocked for {number(stall)} ms, limit {STALL_MS:.0f} ms"


def busy_generator(level: LevelSummary) -> str | None:
    """A worker near a full core queues its own reads."""
    cpu = level.generator["cpu_percent_p95"]
    if cpu is None or cpu < CPU_PERCENT:
        return None
    return f"generator short of CPU: p95 {number(cpu)} % of a core, limit {CPU_PERCENT:.0f} %"


def uncertain_counts(level: LevelSummary) -> str | None:
    """A chunk is not a token: throughput, TPOT and cost rest on the server's own count."""
    doubtful = {name: n for name, n in level.token_counts.items() if name != "usage"}
    if not doubtful:
        return None
    how = ", ".join(f"{n} {_COUNT_WORDS.get(name, name)}" for name, n in sorted(doubtful.items()))
    return f"output tokens not counted by the server: {how} of {level.requests['ok']} answers, limit 0"


_COUNT_WORDS = {"chunks": "from chunks", "unknown": "unknown"}


def missed_rate(level: LevelSummary) -> str | None:
    """The load was not the one asked for; 2/√n is two standard deviations of a Poisson count."""
    rate, achieved = level.offered.get("rate"), level.achieved_per_s
    if rate is None or achieved is None:
        return None
    off, limit = abs(achieved - rate) / rate, RATE_SLACK + 2 / math.sqrt(level.requests["sent"])
    if off <= limit:
        return None
    return f"sent {number(achieved)} req/s of {rate:g} offered: {off:.1%} off, limit {limit:.1%}"


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
    """As dropped_arrivals, where a load worker reported it in words."""
    open_loop = any("rate" in level.offered for level in levels)
    dropped = [note for note in stored.notes if _DROPPED.search(note)]
    return f"{'; '.join(dropped)}, limit 0" if open_loop and dropped else None


def lost_generator(stored: Stored, levels: Sequence[LevelSummary]) -> str | None:
    """Less load than asked for, and the slow requests of the moment of loss are missing."""
    lost = [f"{found[1]} {found[2]}" for note in stored.notes if (found := _LOST.match(note))]
    return f"lost during the run: {', '.join(lost)}, limit 0" if lost else None


LEVEL_RULES: tuple[tuple[Verdict, Callable[[LevelSummary], str | None]], ...] = (
    ("INVALID", no_success),
    ("INVALID", late_generator),
    ("INVALID", dropped_arrivals),
    ("INVALID", mostly_failed),
    ("SUSPECT", stalled_generator),
    ("SUSPECT", busy_generator),
    ("SUSPECT", some_failed),
    ("SUSPECT", cancelled),
    ("SUSPECT", uncertain_counts),
    ("SUSPECT", missed_rate),
)

RUN_RULES: tuple[tuple[Verdict, Callable[[Stored, Sequence[LevelSummary]], str | None]], ...] = (
    ("INVALID", nothing_recorded),
    ("INVALID", dropped_in_notes),
    ("SUSPECT", interrupted),
    ("SUSPECT", lost_generator),
)


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
    fired = [(verdict, reason) for verdict, rule in RUN_RULES if (reason := rule(stored, levels))]
    for level in levels:
        where = f"{level.label}: " if len(levels) > 1 else ""
        fired += [(verdict, f"{where}{reason}") for verdict, reason in _fired(level)]
    fired.sort(key=lambda pair: -_SEVERITY.index(pair[0]))
    return worst(verdict for verdict, _ in fired), tuple(reason for _, reason in fired)


def _fired(level: LevelSummary) -> list[tuple[Verdict, str]]:
    return [(verdict, reason) for verdict, rule in LEVEL_RULES if (reason := rule(level))]
