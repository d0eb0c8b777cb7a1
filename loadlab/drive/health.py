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


class Health:
    """Reads twice a second.

    `hub_stall_ms` is the longest lateness of a 10 ms timer, `cpu_percent` process CPU time over wall time.
    """

    def __init__(self, device: str, put: Callable[[Sequence[Reading]], None]) -> None:
        self._device, self._put = device, put
        self.restart()

    def restart(self) -> None:
        """Forgets what was before: getting a level ready is none of the level's business."""
        self._started_ns, self._cpu_s, self._stall_ms = now_ns(), time.process_time(), 0.0

    def watch(self) -> None:
        """Watches for ever; run it in a greenlet."""
        while True:
            before_ns = now_ns()
            gevent.sleep(_TICK_S)
            now = now_ns()
            # A tick that began before a restart says nothing about what came after it.
            if before_ns >= self._started_ns:
                self._stall_ms = max(self._stall_ms, (now - before_ns) / NS_PER_MS - _TICK_S * 1000)
            if now - self._started_ns >= _PERIOD_NS:
                self._read(now)

    def _read(self, now: int) -> None:
        used_s = time.process_time() - self._cpu_s
        percent = 100 * used_s * NS_PER_S / (now - self._started_ns)
        self._put(
            (
                Reading(now, "generator", self._device, "hub_stall_ms", max(0.0, self._stall_ms)),
                Reading(now, "generator", self._device, "cpu_percent", percent),
            )
        )
        self.restart()
