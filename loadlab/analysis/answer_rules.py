"""Can the answers be believed? Rules on failures, on token counts and on whether the level was steady.

Each looks at one level and answers one sentence with the value and the limit, or None.
"""

from __future__ import annotations

from loadlab.analysis.nouns import LevelSummary
from loadlab.analysis.steady import GROWTH_SHARE, LITTLE_SLACK
from loadlab.analysis.warmup import CUT_SHARE
from loadlab.core.metrics import METRICS
from loadlab.core.units import number

FAILED_SUSPECT, FAILED_INVALID = 0.01, 0.50
FEWEST_TOKENS_PER_EVENT, MOST_TOKENS_PER_EVENT = 0.95, 20.0

_COURSES = {
    "warmup": "warm-up too short",
    "slowdown": "slowed down on the way",
    "no_steady_state": "no steady state",
}
_COUNT_WORDS = {"chunks": "from chunks", "unknown": "unknown"}


def no_success(level: LevelSummary) -> str | None:
    """Nothing was measured."""
    if level.requests["ok"]:
        return None
    return f"no request succeeded: 0 of {level.requests['sent']}, at least 1 is needed"


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


def uncertain_counts(level: LevelSummary) -> str | None:
    """A chunk is not a token: throughput, TPOT and cost rest on the server's own count."""
    doubtful = {name: n for name, n in level.token_counts.items() if name != "usage"}
    if not doubtful:
        return None
    how = ", ".join(f"{n} {_COUNT_WORDS.get(name, name)}" for name, n in sorted(doubtful.items()))
    return f"output tokens not counted by the server: {how} of {level.requests['ok']} answers, limit 0"


def overlong_answers(level: LevelSummary) -> str | None:
    """A server that passes the cap it was given counts something else than its output."""
    over = level.lengths.get("beyond_max_tokens", 0)
    if not over:
        return None
    return f"{over} of {level.requests['ok']} answers count more tokens than their max_tokens, limit 0"


def strange_counts(level: LevelSummary) -> str | None:
    """Usage and stream disagree: an event carries at least a token, and hardly dozens."""
    ratio = level.signs.tokens_per_event
    if ratio is None or FEWEST_TOKENS_PER_EVENT <= ratio <= MOST_TOKENS_PER_EVENT:
        return None
    return (
        f"token counts disagree: the server counts {number(ratio)} tokens per event of output, "
        f"limits {FEWEST_TOKENS_PER_EVENT:g} and {MOST_TOKENS_PER_EVENT:g}"
    )


def unbalanced(level: LevelSummary) -> str | None:
    """Little's law: in a steady state, requests in flight are rate × latency."""
    flow = level.signs.flow
    if flow is None or flow.apart <= (limit := LITTLE_SLACK + flow.usual_share):
        return None
    return (
        f"not steady: {number(flow.in_flight)} requests under way on average, rate × latency says "
        f"{number(flow.rate_times_latency)}: {flow.apart:.1%} apart, limit {limit:.1%}"
    )


def warming_up(level: LevelSummary) -> str | None:
    """The beginning is of another kind than the rest: its length decides the percentiles."""
    courses = [each for each in level.signs.settling if each.course != "flat"]
    if not courses or level.unstable:
        return None
    found = courses[0]
    return (
        f"{_COURSES[found.course]}: mean {METRICS[found.metric].label} {number(found.before)} ms in the "
        f"first {found.cut:.0%} of the requests, {number(found.after)} ms after, limit {CUT_SHARE:.0%}"
    )


def unstable(level: LevelSummary) -> str | None:
    """More comes in than goes out: latency grows with the length of the level and has no percentile."""
    growth = level.signs.growth
    if growth is None or not level.unstable:
        return None
    return (
        f"unstable: requests under way rose by {growth.in_flight:.0%} of their mean and TTFT by "
        f"{growth.ttft:.0%}, limit {GROWTH_SHARE:.0%}"
    )
