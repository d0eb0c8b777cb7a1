"""What a course reads of its run between levels and during one: rows of the store, summed up by analysis."""

from __future__ import annotations

from typing import Any

import pandas as pd

from loadlab.analysis import summary_of
from loadlab.analysis.measures import Observed, level_of
from loadlab.analysis.nouns import LevelSummary
from loadlab.core.nouns import Level
from loadlab.sweeps import saturation


class Book:
    """One run in the store, which a recorder writes at the same time. `store` is what `store.open` gives."""

    def __init__(self, store: Any, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._suspected: int | None = None

    def requests(self, level: Level) -> pd.DataFrame:
        """The measured requests of a level that are in the store, as planned in time."""
        rows: pd.DataFrame = self._store.requests(self._run_id, level.index)
        return rows[~rows["warmup"].to_numpy(dtype=bool)]

    def level(self, level: Level) -> LevelSummary:
        """A level that is over, in numbers."""
        return summary_of(self._store, self._run_id, level.index).levels[0]

    def observed(self, level: Level) -> Observed:
        """A level that is over, with its rows."""
        summary = summary_of(self._store, self._run_id, level.index)
        return level_of(self._store, summary, level.index)

    def over_capacity(self, level: Level) -> str | None:
        """Why a level under way need not go on, once that was seen at two looks in a row."""
        if not saturation.judged(level) or (started_ns := self._started_ns(level)) is None:
            return None
        rows = self._store.requests(self._run_id, level.index)
        found = saturation.growing(level, self._seed, started_ns, rows)
        seen_before, self._suspected = self._suspected == level.index, level.index if found else None
        return saturation.words(found) if found and seen_before else None

    @property
    def _seed(self) -> int:
        return int(self._store.run(self._run_id).spec.seed)

    def _started_ns(self, level: Level) -> float | None:
        levels = self._store.levels(self._run_id)
        started = levels[levels["level"] == level.index]["started_ns"].dropna()
        return None if started.empty else float(started.iloc[0])
