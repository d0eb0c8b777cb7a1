"""How the generator itself is doing: the longest time its hub was busy, and its share of a core."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import gevent

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Reading
from loadlab.core.units import NS_PER_MS, NS_PER_S

_TICK_S = 0.01
_PERIOD_NS = NS_PER_S // 2


def watch(device: str, put: Callable[[Sequence[Reading]], None]) -> None:
    """Reads twice a second for ever; run it in a greenlet.

    `hub_stall_ms` is the longest lateness of a 10 ms timer, `cpu_percent` process CPU time over wall time.
    """
    started, cpu, stall = now_ns(), time.process_time(), 0.0
    while True:
        due = now_ns() + _TICK_S * NS_PER_S
        gevent.sleep(_TICK_S)
        now = now_ns()
        stall = max(stall, (now - due) / NS_PER_MS)
        if now - started >= _PERIOD_NS:
            used = time.process_time() - cpu
            percent = 100 * used * NS_PER_S / (now - started)
            put(
                (
                    Reading(now, "generator", device, "hub_stall_ms", stall),
                    Reading(now, "generator", device, "cpu_percent", percent),
                )
            )
            started, cpu, stall = now, time.process_time(), 0.0
