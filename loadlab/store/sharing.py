"""One run written by several hosts: rows only from each, or the rows of one host's own database taken over.

The run itself, its levels and its end belong to the host that controls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from loadlab.core.errors import NoDataError, StoreError
from loadlab.core.nouns import Level, Run, RunState
from loadlab.store import schema
from loadlab.store.store import Store

_BATCH = 2000


class SharedStore(Store):
    """The store of a run that another host began and will finish. Writes requests and readings only."""

    @classmethod
    def of(cls, store: Store) -> SharedStore:
        """The same database; `store` needs no closing of its own."""
        return cls(store._database, store.migrated_from)

    def begin_run(self, run: Run) -> None:
        """Checks that the run is here; `run.clock_ns` is its start by this clock. Raises StoreError."""
        try:
            self.run(run.id)
        except NoDataError as error:
            raise StoreError(
                f"run {run.id} is not in {self.info()['url']}: the hosts of a run write to one database; "
                "give this host the --db of the controlling one."
            ) from error
        self._clocks[run.id] = run.clock_ns

    def begin_level(self, run_id: str, level: Level, started_ns: int) -> None:
        """Left to the controlling host."""

    def finish_level(self, run_id: str, index: int, finished_ns: int, ended: str | None = None) -> None:
        """Left to the controlling host."""

    def describe_server(self, run_id: str, facts: Mapping[str, str]) -> None:
        """Left to the controlling host: its GPUs are looked at, not those of a load host."""

    def heartbeat(self, run_id: str) -> None:
        """Left to the controlling host."""

    def finish_run(self, run_id: str, state: RunState, notes: Sequence[str] = ()) -> None:
        """Left to the controlling host."""


def take_over(source: Store, into: Store, run_id: str) -> int:
    """Copies what another host recorded of a run, all of it or nothing; gives the number of requests.

    Both must count the run's times from the same instant. Raises StoreError for rows that are there already.
    """
    taken = 0
    with source._transaction() as there, into._transaction() as here:
        for table in (schema.request, schema.arrivals, schema.reading):
            columns = [column for column in table.columns if column.name != "id"]
            query = sa.select(*columns).where(table.c.run_id == run_id)
            for batch in there.execute(query).mappings().partitions(_BATCH):
                rows: list[dict[str, Any]] = [dict(row) for row in batch]
                here.execute(table.insert(), rows)
                taken += len(rows) if table is schema.request else 0
    return taken
