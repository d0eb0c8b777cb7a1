"""An automatic sweep: from one user to all the server can do, then open loops, close together at the knee.

One user shows the latency of an idle server; users four times as many at a time, until throughput hardly
rises any more, show the most it serves; Poisson arrivals at shares of that show how latency grows with load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHARES = (0.1, 0.3, 0.5, 0.65, 0.75, 0.82, 0.88, 0.93, 0.97)
_TIMES = 4
_GAIN = 1.10
MOST_USERS = 1024


@dataclass(frozen=True, slots=True)
class Load:
    """A load to measure: `users` in a closed loop, or a `rate` in requests/s."""

    users: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A load that was measured, with the requests per second that came back; None where none did."""

    load: Load
    per_s: float | None


@dataclass(frozen=True, slots=True)
class Scope:
    """How far a sweep goes: at most so many users, and rates below `most_rate` where there is a cap."""

    most_users: int = 256
    most_rate: float | None = None

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Scope:
        """The scope that a run's `course` has written down."""
        return cls(written["most_users"], written["most_rate"])

    @property
    def users(self) -> list[int]:
        """The closed levels there may be."""
        found = [1]
        while found[-1] < self.most_users:
            found.append(min(self.most_users, found[-1] * _TIMES))
        return found

    @property
    def levels(self) -> int:
        """At most so many."""
        return len(self.users) + len(SHARES)


def following(seen: Sequence[Seen], scope: Scope) -> Load | None:
    """The load to measure next; None when the sweep is complete."""
    closed = [each for each in seen if each.load.users is not None]
    if (users := _more_users(closed, scope)) is not None:
        return Load(users=users)
    most = capacity(seen)
    done = {each.load.rate for each in seen}
    rates = _rates(most, scope) if most else iter(())
    return next((Load(rate=rate) for rate in rates if rate not in done), None)


def capacity(seen: Sequence[Seen]) -> float | None:
    """The most requests per second that a closed level brought back."""
    return max((each.per_s for each in seen if each.load.users is not None and each.per_s), default=None)


def _more_users(closed: Sequence[Seen], scope: Scope) -> int | None:
    """None once throughput rose by less than a tenth, or nothing came back, or there may be no more."""
    if len(closed) >= len(scope.users):
        return None
    if closed and closed[-1].per_s is None:
        return None
    if len(closed) > 1 and (closed[-1].per_s or 0.0) < _GAIN * (closed[-2].per_s or 0.0):
        return None
    return scope.users[len(closed)]


def _rates(most: float, scope: Scope) -> Iterator[float]:
    for share in SHARES:
        rate = float(f"{share * most:.3g}")
        if scope.most_rate is None or rate <= scope.most_rate:
            yield rate
