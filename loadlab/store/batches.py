"""Batches in the store: one row for each run that was handed in as one, filled in as it goes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from loadlab.core.errors import NoDataError
from loadlab.store import schema
from loadlab.store.rows import text

_LIMITS = {"batch_id": 200, "word": 40, "error": 2000}


class Batches:
    """The table `batch` of an open store."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._transaction = transaction

    def begin(self, run_id: str, **values: Any) -> None:
        """Stores what is about to be handed in."""
        with self._transaction() as connection:
            connection.execute(schema.batch.insert(), {"run_id": run_id, **values})

    def update(self, run_id: str, **values: Any) -> None:
        """Stores what became known."""
        values = {
            name: text(value, _LIMITS[name]) if name in _LIMITS else value for name, value in values.items()
        }
        with self._transaction() as connection:
            done = connection.execute(
                schema.batch.update().where(schema.batch.c.run_id == run_id).values(**values)
            )
            if done.rowcount == 0:
                raise NoDataError(f"run {run_id} is no batch; `loadlab runs list` shows what is stored.")

    def of(self, run_id: str) -> dict[str, Any] | None:
        """The row of a run (full id); None where it was no batch."""
        with self._transaction() as connection:
            query = sa.select(schema.batch).where(schema.batch.c.run_id == run_id)
            found = connection.execute(query).mappings().one_or_none()
        return dict(found) if found else None
