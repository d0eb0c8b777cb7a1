"""Looking at a whole store: what its series show, which incidents that opens, which it closes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadlab.analysis.measures import Measure
from loadlab.core.incident import Incident
from loadlab.history.found import Found, found, toward_worse
from loadlab.history.regressions import LOADLAB, incident, known, made_good, regressions, revised
from loadlab.history.segments import FEWEST_RUNS
from loadlab.history.series import MEASURES, make_missing, of_store


@dataclass(frozen=True)
class Seen:
    """The series of a store with what they show; `left_out`: levels that were not VALID."""

    found: tuple[Found, ...]
    left_out: int

    @property
    def long_enough(self) -> list[Found]:
        """The series of at least 8 runs."""
        return [each for each in self.found if len(each.series.points) >= FEWEST_RUNS]

    @property
    def suspects(self) -> list[Found]:
        """The series whose newest run stands out for the worse, and nothing is certain yet."""
        return [
            each for each in self.found
            if each.alarm and toward_worse(each.series.measure, each.alarm.shift)
        ]  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """What a check saw and what it wrote: incidents `opened`, `fixed`, and `open` ones that go on."""

    seen: Seen
    opened: tuple[Incident, ...]
    fixed: tuple[Incident, ...]
    going_on: tuple[Incident, ...]


def look(
    store: Any,
    measures: Sequence[Measure] = MEASURES,
    where: Mapping[str, str] | None = None,
    *,
    complete: bool = True,
) -> Seen:
    """What the series of a store show; with `complete` the numbers of runs that have none are made first.

    `where`: columns of table `run` and what they must be.
    """
    if complete:
        make_missing(store)
    history = of_store(store, measures, where)
    return Seen(tuple(found(series) for series in history.series), history.left_out)


def check(
    store: Any, measures: Sequence[Measure] = MEASURES, where: Mapping[str, str] | None = None
) -> Checked:
    """Looks, opens an incident for each new regression, and closes those that were made good."""
    seen = look(store, measures, where)
    stored = store.incidents.all()
    opened, going_on = [], []
    for regression in regressions(seen.found):
        if of := known(regression, stored):
            if of.state in ("open", "acknowledged"):
                store.incidents.revise(revised(of, regression))
                going_on.append(of)
            continue
        fresh = incident(regression, time.time_ns())
        store.incidents.add(fresh)
        opened.append(fresh)
    return Checked(seen, tuple(opened), tuple(_close(store, stored, seen)), tuple(going_on))


def _close(store: Any, stored: Sequence[Incident], seen: Seen) -> list[Incident]:
    closed = []
    for each in stored:
        if each.state in ("open", "acknowledged") and (since := made_good(each, seen.found)):
            why = f"as before since run {since.run_id}"
            closed.append(store.incidents.change(each.id, "fixed", LOADLAB, why))
    return closed
