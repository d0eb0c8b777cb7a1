"""Numbers of judged levels in the store: written once when a run is judged, read by the thousand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa

from loadlab.core.judged import JudgedLevel
from loadlab.store import frames, schema
from loadlab.store.rows import text

if TYPE_CHECKING:
    import pandas as pd

_statistic, _level, _run = schema.statistic, schema.level, schema.run


class Statistics:
    """The table `statistic` of an open store, and what judging wrote beside each level."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._transaction = transaction

    def write(self, run_id: str, levels: Sequence[JudgedLevel]) -> None:
        """Stores the numbers of a judged run in place of those it had."""
        rows = [
            {"run_id": run_id, "level": judged.level, **asdict(statistic)}
            for judged in levels
            for statistic in judged.statistics
        ]
        with self._transaction() as connection:
            forget(connection, run_id)
            for judged in levels:
                of = (_level.c.run_id == run_id, _level.c.level == judged.level)
                hardware = text(judged.hardware, 200)
                update = _level.update().where(*of).values(verdict=judged.verdict, hardware=hardware)
                connection.execute(update)
            if rows:
                connection.execute(_statistic.insert(), rows)

    def missing(self) -> list[str]:
        """The finished runs that have a level without a verdict: never judged, or priced again since."""
        query = (
            sa.select(_run.c.id)
            .join_from(_run, _level)
            .where(_run.c.state == "finished", _level.c.verdict.is_(None), _level.c.started_ns.is_not(None))
            .distinct()
        )
        with self._transaction() as connection:
            return sorted(connection.execute(query).scalars())

    def stamp(self) -> tuple[int, int]:
        """Something that changes when levels are judged or judged anew: how many, and how many numbers."""
        judged = sa.select(sa.func.count()).select_from(_level).where(_level.c.verdict.is_not(None))
        numbers = sa.select(sa.func.count()).select_from(_statistic)
        with self._transaction() as connection:
            return connection.execute(judged).scalar_one(), connection.execute(numbers).scalar_one()

    def of(self, measures: Sequence[str] | None = None, run_ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Table `statistic`, all of it or of these measures and runs, in the order of run, level, measure."""
        query = sa.select(_statistic)
        for column, wanted in ((_statistic.c.measure, measures), (_statistic.c.run_id, run_ids)):
            if wanted is not None:
                query = query.where(column.in_(list(wanted)))
        by = (_statistic.c.run_id, _statistic.c.level, _statistic.c.measure)
        with self._transaction() as connection:
            return frames.frame(connection, query.order_by(*by))

    def levels(self, where: Mapping[str, str] | None = None) -> pd.DataFrame:
        """One row per judged level of a finished run, in order of time; of runs that match `where`.

        Columns: those of table `level`; of its run: scenario, target, model, label, started_at_ns, spec,
        environment, price.
        """
        names = ("scenario", "target", "model", "label", "started_at_ns", "spec", "environment", "price")
        query = (
            sa.select(_level, *(_run.c[name] for name in names))
            .join_from(_level, _run)
            .where(_run.c.state == "finished", _level.c.verdict.is_not(None))
            .where(*(_run.c[name] == value for name, value in (where or {}).items()))
        )
        with self._transaction() as connection:
            return frames.frame(connection, query.order_by(_run.c.started_at_ns, _run.c.id, _level.c.level))


def forget(connection: sa.Connection, run_id: str) -> None:
    """Takes a run's numbers away, because what they were made of has changed."""
    connection.execute(_statistic.delete().where(_statistic.c.run_id == run_id))
    connection.execute(_level.update().where(_level.c.run_id == run_id).values(verdict=None, hardware=None))
