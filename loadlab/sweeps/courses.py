"""Ways through a sweep, as the supervisor of a run asks for them: which level now, and whether to go on.

Each is rebuilt from what is stored, so that an interrupted run goes on where it was: the levels that are
finished are its past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from loadlab.core.nouns import Level, Run
from loadlab.sweeps import auto
from loadlab.sweeps.book import Book
from loadlab.sweeps.searching import Searching


def course_of(run: Run, book: Book, finished: Sequence[int] = ()) -> Listing | Automatic | Searching:
    """The course that a run's own words ask for; levels that are `finished` are not measured again."""
    kind = run.course.get("kind", "list")
    if kind == "search":
        return Searching(run, book, finished)
    if kind == "auto":
        return Automatic(run, book, finished)
    return Listing(run, book, finished)


class Listing:
    """The levels of a list. An open level that is over capacity for certain is ended, those above skipped.

    With "keep_going" every level has its time.
    """

    looks = True

    def __init__(self, run: Run, book: Book, finished: Sequence[int] = ()) -> None:
        self._levels, self._book = run.levels, book
        self._left = iter(level for level in run.levels if level.index not in finished)
        self._stops = not run.course.get("keep_going", False) and len(run.levels) > 1
        self._skipped: list[Level] = []
        self._over: Level | None = None
        self._last: Level | None = None
        self.total = len(run.levels)
        if self._stops:
            for level in run.levels:
                if level.index in finished:
                    self._learn(level)

    @property
    def notes(self) -> list[str]:
        """Which levels were skipped, and why."""
        if not self._skipped or self._over is None:
            return []
        rates = ", ".join(dict.fromkeys(f"{level.rate:g}" for level in self._skipped))
        return [
            f"skipped {rates} req/s: the server did not keep up with {self._over.rate:g} req/s "
            "(--keep-going measures them all the same)"
        ]

    def next(self) -> Level | None:
        """The next level that is not beyond one that was over capacity."""
        if self._last is not None and self._stops:
            self._learn(self._last)
        for level in self._left:
            if not self._beyond(level):
                self._last = level
                return level
            self._skipped.append(level)
        return None

    def watch(self, level: Level) -> str | None:
        """Over capacity for certain?"""
        return self._book.over_capacity(level) if self._stops else None

    def _learn(self, level: Level) -> None:
        if level.rate is None or (self._over and self._over.rate and level.rate >= self._over.rate):
            return
        if self._book.level(level).unstable:
            self._over = level

    def _beyond(self, level: Level) -> bool:
        if self._over is None or level.rate is None or level.profile or level.trace:
            return False
        return level.arrivals == self._over.arrivals and level.rate >= (self._over.rate or 0.0)


class Automatic:
    """`sweep --auto`: closed levels up to saturation, then open ones at shares of the most that came back."""

    looks = True

    def __init__(self, run: Run, book: Book, finished: Sequence[int] = ()) -> None:
        self._book, self._scope = book, auto.Scope.of(run.course)
        self._level = Level(0, duration_s=run.course["duration_s"], warmup_s=run.course["warmup_s"])
        self._measured = [level for level in run.levels if level.index in finished]
        self._seen = [self._look(level) for level in self._measured]
        self._over = any(level.rate and book.level(level).unstable for level in self._measured)
        self._at = max((level.index for level in self._measured), default=-1) + 1
        self._last: Level | None = None
        self.total = self._scope.levels

    @property
    def notes(self) -> list[str]:
        """What was found on the way."""
        most = auto.capacity(self._seen)
        return [] if most is None else [f"auto: at most {most:.3g} req/s came back with closed loops"]

    def next(self) -> Level | None:
        """The next load of the plan."""
        if self._last is not None:
            self._seen.append(self._look(self._last))
            self._over = self._over or bool(self._last.rate and self._book.level(self._last).unstable)
        load = None if self._over else auto.following(self._seen, self._scope)
        if load is None:
            return None
        arrivals = {} if load.rate is None else {"arrivals": "poisson"}
        self._last = replace(
            self._level,
            index=self._at,
            users=load.users,
            rate=load.rate,
            **arrivals,  # type: ignore[arg-type]
        )
        self._at += 1
        return self._last

    def watch(self, level: Level) -> str | None:
        """Over capacity for certain?"""
        return self._book.over_capacity(level)

    def _look(self, level: Level) -> auto.Seen:
        return auto.Seen(auto.Load(level.users, level.rate), self._book.level(level).rates["requests_per_s"])
