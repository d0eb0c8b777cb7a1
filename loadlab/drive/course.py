"""The way through the levels of a run, as its supervisor asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from loadlab.core.nouns import Level


class Course(Protocol):
    """Which level comes next. One that `looks` reads in the store what became of the levels before.

    `total` is how many levels there are at most, `notes` what went otherwise than a reader would expect.
    """

    looks: bool

    @property
    def total(self) -> int: ...
    @property
    def notes(self) -> Sequence[str]: ...

    def next(self) -> Level | None:
        """The level to measure now; None when there is none left."""

    def watch(self, level: Level) -> str | None:
        """Asked now and then while a level is under way: why to end it before its time, or None."""


class Listed:
    """The levels of a run, all of them, one after the other."""

    looks = False

    def __init__(self, levels: Sequence[Level]) -> None:
        self._levels, self.total, self.notes = iter(levels), len(levels), ()

    def next(self) -> Level | None:
        """The next of the list."""
        return next(self._levels, None)

    def watch(self, level: Level) -> str | None:
        """Every level has its time."""
        return None
