"""Counters of a server as numbers that never go back. Knows series and their last values; no clock.

A server counts per engine and label, and begins at 0 when it starts again. Sums of such series can go back,
or worse, seem not to. So every series is followed by itself, and what it gains is added up.
"""

from __future__ import annotations

from collections.abc import Iterable

Series = tuple[str, ...]


class Counters:
    """Totals by name, and `restarts`: at how many readings a series had gone back, and so lost counts."""

    def __init__(self) -> None:
        self._last: dict[Series, float] = {}
        self._totals: dict[str, float] = {}
        self.restarts = 0

    def take(self, found: Iterable[tuple[str, Series, float]]) -> dict[str, float]:
        """The totals of the names found now: (name, series, value) each."""
        restarted = False
        seen: dict[str, float] = {}
        for name, series, value in found:
            key = (name, *series)
            gained = value - self._last.get(key, 0.0)
            restarted = restarted or gained < 0
            # What a series gained since it began anew is in its value; what it lost before is lost.
            self._totals[name] = self._totals.get(name, 0.0) + (gained if gained >= 0 else value)
            self._last[key] = value
            seen[name] = self._totals[name]
        self.restarts += restarted
        return seen
