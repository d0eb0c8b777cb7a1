"""How far another host's clock is ahead of ours, by Cristian's method: no packet takes less than no time.

A question leaves at a, is answered with the other's time T, the answer is here at b. T was somewhere between,
so T - (a + b) / 2 is the offset, off by half the round trip at most. Of several, the quickest knows best; as
quartz drifts, an old answer loses what a new one of the same speed has.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from loadlab.core.clock import anchor

DRIFT = 100e-6  # twice what quartz in servers is sold to keep
_KEPT = 64


@dataclass(frozen=True, slots=True)
class _Trip:
    at_ns: int
    ahead_ns: int
    half_ns: float


class ClockOffset:
    """The best of the last answers. `ahead_ns` turns the other's UTC into our monotonic clock."""

    def __init__(self) -> None:
        self._trips: deque[_Trip] = deque(maxlen=_KEPT)
        self._own_ns, self._own_utc_ns = anchor()

    def add(self, sent_ns: int, other_utc_ns: int, received_ns: int) -> None:
        """Takes in one question and its answer; a trip that ends before it began is none."""
        if received_ns >= sent_ns:
            middle = (sent_ns + received_ns) // 2
            self._trips.append(_Trip(received_ns, other_utc_ns - middle, (received_ns - sent_ns) / 2))

    def best(self, now_ns: int) -> tuple[int, float] | None:
        """What to take off the other's time to get ours, and the bound of its error; ns. None before any."""
        if not self._trips:
            return None
        found = min(self._trips, key=lambda trip: _error_ns(trip, now_ns))
        return found.ahead_ns, _error_ns(found, now_ns)

    def ahead_of_utc_ns(self, ahead_ns: int) -> int:
        """The same offset as people know it: between the two hosts' UTC."""
        return ahead_ns - (self._own_utc_ns - self._own_ns)

    def forget(self) -> None:
        """Begins anew: the other clock is another one now."""
        self._trips.clear()


def _error_ns(trip: _Trip, now_ns: int) -> float:
    return trip.half_ns + DRIFT * abs(now_ns - trip.at_ns)
