"""`search` as the supervisor of a run asks for it: the next load by what the levels before have shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.nouns import Level, Run
from loadlab.gates.rules import SloRule
from loadlab.sweeps import margin
from loadlab.sweeps.book import Book
from loadlab.sweeps.search import Aim, Answer, Probe, answer, following

_LONGEST = 4  # times the duration asked for, where a low rate brings few requests
_HALVINGS = 5


class Searching:
    """Levels as the bracket asks for them. One far beyond the SLO, or over capacity, ends early.

    A search for a rate that is not told where to begin measures one user first: how long a request takes
    alone says which rates are low.
    """

    looks = True

    def __init__(
        self, run: Run, book: Book, finished: Sequence[int] = (), now: Callable[[], float] = time.monotonic
    ) -> None:
        self._book, self._asked, self._now = book, run.course, now
        self.rules: tuple[SloRule, ...] = margin.rules_of(run.course["slo"])
        self._level = Level(**{**run.course["level"], "index": 0})
        self._by_rate = run.course["by"] == "rate"
        self._alone: tuple[LevelSummary, Probe] | None = None
        self.probes: list[Probe] = []
        measured = [level for level in run.levels if level.index in finished]
        for level in measured:
            self._take(level)
        self._at = max((level.index for level in measured), default=-1) + 1
        self._last: Level | None = None
        self._until = now() + (run.course.get("budget_s") or float("inf"))
        self.total = run.course["aim"]["levels"] + self._asks_alone

    @property
    def _asks_alone(self) -> bool:
        return self._by_rate and "start" not in self._asked["aim"]

    @property
    def aim(self) -> Aim:
        """What may be tried."""
        scale = {}
        if self._alone:
            pace = self._alone[0].rates["requests_per_s"] or 1.0
            scale = {"start": float(f"{pace:.3g}"), "least": pace / 2**_HALVINGS}
        return Aim.of({"start": 1.0, "least": 1.0, **scale, **self._asked["aim"]})

    @property
    def notes(self) -> list[str]:
        """Nothing: the answer says it all."""
        return []

    @property
    def answer(self) -> Answer:
        """What is known by now."""
        if self._hopeless:
            return Answer("NONE", why=f"even one request at a time misses it: {self._hopeless}")
        return answer(self.probes, self.aim)

    @property
    def _hopeless(self) -> str:
        """The rule that a lone user breaks already; empty where none is."""
        counts = self._alone[1].counts if self._alone else ()
        return next((count.rule for count in counts if count.over > max(1, count.allowed * count.n)), "")

    def next(self) -> Level | None:
        """The next load to try, as long as there is time for it."""
        if self._last is not None:
            self._take(self._last)
        self._last = None if self._now() >= self._until else self._wanted()
        self._at += 1
        return self._last

    def _wanted(self) -> Level | None:
        if self._asks_alone and self._alone is None:
            plain: dict[str, Any] = {"arrivals": "closed", "rate": None, "cv": None, "max_in_flight": None}
            return replace(self._level, index=self._at, users=1, **plain)
        load = None if self._hopeless else following(self.probes, self.aim)
        if load is None:
            return None
        if not self._by_rate:
            return replace(self._level, index=self._at, users=int(load))
        return replace(self._level, index=self._at, rate=load, duration_s=self._duration_s(load))

    def _duration_s(self, rate: float) -> float:
        """As asked for, or as long as it takes for enough requests to judge the rarest quantile by."""
        usual = self._level.duration_s or 0.0
        wanted = margin.requests_wanted(self.rules) / rate + self._level.warmup_s
        return round(max(usual, min(_LONGEST * usual, wanted)), 1)

    def watch(self, level: Level) -> str | None:
        """Over capacity, or far beyond a rule: either is certain before the level is over."""
        if why := self._book.over_capacity(level):
            return why
        broken = margin.surely_broken(self.rules, self._book.requests(level))
        return f"more than half of the requests break {broken}" if broken else None

    def _take(self, level: Level) -> None:
        seen = self._book.observed(level)
        load = level.rate if self._by_rate else level.users
        found = margin.probe(self.rules, seen, float(load or 0.0))
        if self._by_rate and level.rate is None:
            self._alone = seen.level, found
        else:
            self.probes.append(found)
