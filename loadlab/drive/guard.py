"""The spend guard: turns a cap in USD into how many requests each part of a run may still finish. Pure.

Load workers never price. The recorder says what was settled; what is done and not yet settled counts as the
dearest request there can be. So nothing is sent once the cap may be reached, and more is when all has been
settled below it: a run goes over by the requests in flight at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from loadlab.core.nouns import Run
from loadlab.core.units import usd
from loadlab.drive.crew import Ledger, Part, living

_NANO = 10**9
_NS_PER_HOUR = 3600 * 10**9


class SpendGuard:
    """Watches one run with a cap. `spent_nano_usd` takes requests of unknown cost as the dearest."""

    def __init__(self, run: Run) -> None:
        self._cap = round((run.max_cost_usd or 0.0) * _NANO)
        self._dearest = max(1, round((run.worst_request_usd or 0.0) * _NANO))
        self._per_hour = round((run.price.usd_per_hour or 0.0) * _NANO) if run.price else 0
        self._done_before = 0
        self._ledger = Ledger()
        self._allowance = Allowance(0)
        self._elapsed_ns = 0

    @property
    def spent_nano_usd(self) -> int:
        """What has been spent, as far as is known, and at most where it is not."""
        hours = self._per_hour * self._elapsed_ns // _NS_PER_HOUR
        return hours + self._ledger.nano_usd + self._ledger.unknown * self._dearest

    @property
    def over(self) -> bool:
        """Whether the cap is reached."""
        return self.spent_nano_usd >= self._cap

    @property
    def words(self) -> str:
        """Why the run ended, for its notes."""
        unknown = f", {self._ledger.unknown} requests of unknown cost at most" if self._ledger.unknown else ""
        spent, cap = (usd(nano / _NANO) for nano in (self.spent_nano_usd, self._cap))
        return f"stopped by the spend guard: {spent} of --max-cost {cap} were spent{unknown}"

    def see(self, ledgers: Sequence[Ledger], elapsed_ns: int) -> None:
        """Takes in what the recorders have priced, and how long the run has lasted."""
        self._elapsed_ns = elapsed_ns
        for ledger in ledgers:
            self._dearest = max(self._dearest, ledger.dearest_nano_usd)
        self._ledger = sum(ledgers, Ledger())

    def enter_level(self, index: int, parts: Sequence[Part]) -> None:
        """Begins a level: `parts` are those of the last one, with what they have done in it."""
        self._done_before += sum(part.counts[1] for part in parts)
        self._allowance = Allowance(index)

    def allow(self, parts: Sequence[Part]) -> None:
        """Tells every living part how many requests of this level it may finish, where that has changed."""
        if self._per_hour:
            return
        left = max(0, -(-(self._cap - self.spent_nano_usd) // self._dearest))
        self._allowance.deal(self._ledger.settled + left - self._done_before, parts)


class Allowance:
    """Shares among parts how many requests of one level they may finish.

    What a part was told once it keeps: it may have used it before it hears otherwise.
    """

    def __init__(self, level: int) -> None:
        self.level = level
        self._told: dict[Part, int] = {}

    def deal(self, total: int, parts: Sequence[Part]) -> None:
        """Lets the living parts finish `total` with the gone ones; sends it to those for whom it changed."""
        left = total - sum(part.counts[1] for part in parts if part.gone)
        held = {part: self._told.get(part, part.counts[1]) for part in living(parts)}
        spare = left - sum(held.values())
        wanted = dict(shared(left, list(held)))
        for part in sorted(held, key=lambda part: held[part] - part.counts[1]):
            more = min(max(0, wanted[part] - held[part]), max(0, spare))
            spare -= more
            # Only a request dearer than any thought possible takes back what was given.
            done = held[part] + more if spare >= 0 else wanted[part]
            if self._told.get(part) != done:
                self._told[part] = done
                part.send(do="allow", level=self.level, done=done)


def shared(total: int, parts: Sequence[Part]) -> list[tuple[Part, int]]:
    """How many requests each part may finish, together `total`; what is left of it goes by load workers."""
    left = max(0, total - sum(part.counts[1] for part in parts))
    workers, first, found = sum(part.workers for part in parts), 0, []
    for part in parts:
        last = first + part.workers
        found.append((part, part.counts[1] + left * last // workers - left * first // workers))
        first = last
    return found
