"""Who may still send: the count and the clock of one level, shared by every user of a load worker."""

from __future__ import annotations

from itertools import count

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Level
from loadlab.core.units import NS_PER_S


class Admission:
    """Counts a level's requests in and out. A request is admitted or its user stops; none is dropped.

    `allowed`: once so many are done, nothing more is sent until the spend guard allows more; None: no guard.
    `gap_ns`: closed loops leave so much time between requests; 0 is no cap on the rate.
    """

    __slots__ = (
        "_deadline_ns",
        "_draining",
        "_left",
        "_slot_ns",
        "_turns",
        "_warm_ns",
        "allowed",
        "done",
        "failed",
        "gap_ns",
        "level",
        "sent",
        "started_ns",
    )

    def __init__(self, level: Level, started_ns: int, share: int | None) -> None:
        self.level = level
        self.started_ns = started_ns
        # An open loop ends when its schedule does: its dispatcher drains, and a late arrival is still sent.
        closed = level.rate is None
        self._left = share if closed else None
        self._deadline_ns = (
            started_ns + round(level.duration_s * NS_PER_S)
            if closed and level.duration_s is not None
            else None
        )
        self._warm_ns = started_ns + round(level.warmup_s * NS_PER_S)
        self._draining = False
        self._turns = count()
        self.sent = self.done = self.failed = 0
        self.allowed: int | None = None
        self.gap_ns = self._slot_ns = 0

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet done."""
        return self.sent - self.done

    @property
    def open(self) -> bool:
        """Whether a request asked for now would be admitted."""
        if self._draining or self._left == 0:
            return False
        return self._deadline_ns is None or now_ns() < self._deadline_ns

    @property
    def over(self) -> bool:
        """Whether nothing is in flight and nothing more will be."""
        return not self.open and self.in_flight == 0

    @property
    def paused(self) -> bool:
        """Whether the spend guard holds requests back: what was done may have cost all there is."""
        return self.allowed is not None and self.done >= self.allowed

    def next_slot(self) -> int:
        """Takes the next instant at which the cap on the rate lets a request go."""
        self._slot_ns = max(now_ns(), self._slot_ns + self.gap_ns)
        return self._slot_ns

    def drain(self) -> None:
        """Admits nothing from now on; what is in flight may finish."""
        self._draining = True

    def next_turn(self) -> int:
        """0 for the first user that asks, then 1, …"""
        return next(self._turns)

    def enter(self) -> None:
        """Takes one request of the level's share."""
        self.sent += 1
        if self._left is not None:
            self._left -= 1

    def leave(self, exchange: Exchange) -> None:
        """Counts a finished request."""
        self.done += 1
        self.failed += exchange.error_kind is not None or (exchange.status or 0) >= 400

    def warming(self, planned_ns: int) -> bool:
        """Whether a request due then belongs to the warm-up."""
        return planned_ns < self._warm_ns


def share_of(total: int | None, index: int, count: int) -> int | None:
    """Worker `index`'s part of `total`, the parts adding up exactly; None stays None."""
    return None if total is None else total // count + (index < total % count)
