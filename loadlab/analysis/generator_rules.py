"""Was the instrument fit? Rules on the generator: late, blocked, short of CPU, waiting, behind its schedule.

Each looks at one level and answers one sentence with the value and the limit, or None.
"""

from __future__ import annotations

import math

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.units import NS_PER_MS, NS_PER_S, number

LAG_MS, LAG_SHARE_OF_TTFT = 5.0, 0.02
STALL_MS = 100.0
CPU_PERCENT = 80.0
RATE_SLACK = 0.02
QUEUED_MS = 1.0  # taking a free place takes microseconds
BACKLOG = 10_000
BEHIND_S = 10.0

_MS_PER_S = NS_PER_S / NS_PER_MS


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
    planned = level.signs.planned
    if planned and not level.signs.cut:
        dropped += planned.missing
    return f"{dropped} planned arrivals dropped, limit 0" if dropped else None


def cut_schedule(level: LevelSummary) -> str | None:
    """What was played is a part of the load asked for."""
    planned = level.signs.planned
    if not planned or not planned.missing or not level.signs.cut:
        return None
    sent = f"{planned.missing} of {planned.arrivals} planned arrivals never sent, limit 0"
    return f"ended early, {level.ended}; {sent}" if level.ended else f"schedule cut: {sent}"


def missed_rate(level: LevelSummary) -> str | None:
    """The load was not the one asked for. A schedule's own scatter is no fault: it is what is compared."""
    rate, achieved, planned = level.offered.get("rate"), level.achieved_per_s, level.signs.planned
    if rate is None or achieved is None:
        return None
    if planned and planned.asked_per_s:
        asked, limit = planned.asked_per_s, RATE_SLACK + LAG_MS / _MS_PER_S / planned.span_s
        off = max(0.0, 1 - achieved / asked)  # follow-up requests are more, and no fault
    else:
        asked, limit = rate, RATE_SLACK + 3 / math.sqrt(level.requests["sent"])
        off = abs(achieved / asked - 1)
    if off <= limit:
        return None
    return f"sent {number(achieved)} req/s of {number(asked)} scheduled: {off:.1%} off, limit {limit:.1%}"


def queued_in_client(level: LevelSummary) -> str | None:
    """Waiting for a place under a cap happens before the server sees the request."""
    queued, sent = level.signs.queued, level.requests["sent"]
    if not queued:
        return None
    return f"{queued} of {sent} requests ({queued / sent:.1%}) waited in the client for a place, limit 0"


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


def slow_recorder(level: LevelSummary) -> str | None:
    """What waits for the recorder fills memory, and is lost with it."""
    backlog, behind = level.generator.get("backlog_max"), level.generator.get("behind_ms_max")
    behind_s = (behind or 0.0) / _MS_PER_S
    if (backlog or 0.0) <= BACKLOG and behind_s <= BEHIND_S:
        return None
    return (
        f"recorder behind: {number(backlog)} exchanges not yet written, limit {BACKLOG:,}; "
        f"decoded {number(behind_s)} s after they ended, limit {BEHIND_S:g} s"
    )
