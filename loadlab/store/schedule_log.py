"""What schedulers did and do: who has a planned time, who measures a target, what came of it.

Times are UTC nanoseconds of the writing host: hosts that share a database keep their clocks within seconds.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from loadlab.core.units import NS_PER_S
from loadlab.store import schema
from loadlab.store.rows import text
from loadlab.store.store import Store
from loadlab.store.stored import SILENT_NS

LEASE_NS = 30 * NS_PER_S
OPEN = ("due", "waiting", "running")
_log, _lock, _run = schema.schedule_log, schema.target_lock, schema.run
_REASON_LIMIT, _TOLD_LIMIT = 2000, 4000


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the log. `state`: due, waiting, running, ended, missed, skipped, stopped or lost.

    `cause` is why it was tried: its time, missed (made up for later), again (lost before), or hand.
    """

    job: str
    planned_at_ns: int
    command: tuple[str, ...]
    job_group: str = "main"
    attempt: int = 1
    cause: str = "time"
    state: str = "due"
    reason: str = ""
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    child_pid: int | None = None
    booked_at_ns: int = field(default_factory=time.time_ns)
    seen_at_ns: int = field(default_factory=time.time_ns)
    started_at_ns: int | None = None
    ended_at_ns: int | None = None
    exit_code: int | None = None
    run_id: str | None = None
    gate_id: str | None = None
    told: str = ""
    id: int = 0

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        """The entry of a row."""
        return cls(**{**row, "command": tuple(row["command"])})

    @property
    def silent(self) -> bool:
        """Whether its scheduler has not been heard of for as long as a lease lasts."""
        return time.time_ns() - self.seen_at_ns > LEASE_NS


class ScheduleLog:
    """The log and the locks of an open store. Each method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def book(self, entry: Entry) -> int | None:
        """The id of the entry, now in the log; None when that time and attempt are taken already."""
        row = {name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name != "id"}
        row |= {"command": list(entry.command), "reason": text(entry.reason, _REASON_LIMIT)}
        with self._store._transaction() as connection:
            try:
                with connection.begin_nested():
                    return int(connection.execute(_log.insert().returning(_log.c.id), row).scalar_one())
            except sa.exc.IntegrityError:  # another scheduler has it
                return None

    def note(self, entry_id: int, **values: Any) -> None:
        """Stores what became of an entry, and that its scheduler lives."""
        for name, limit in (("reason", _REASON_LIMIT), ("told", _TOLD_LIMIT)):
            if name in values:
                values[name] = text(values[name], limit)
        self._store._update(_log, (_log.c.id == entry_id,), seen_at_ns=time.time_ns(), **values)

    def settle(self, entry: Entry, **values: Any) -> bool:
        """Stores how an abandoned entry ended, and frees its targets; False where somebody else did."""
        values |= {"told": text(values.get("told", ""), _TOLD_LIMIT), "ended_at_ns": time.time_ns()}
        still = (_log.c.id == entry.id, _log.c.state.in_(OPEN), _log.c.seen_at_ns == entry.seen_at_ns)
        with self._store._transaction() as connection:
            settled = connection.execute(_log.update().where(*still).values(**values)).rowcount
            if settled:
                connection.execute(_lock.delete().where(_lock.c.log_id == entry.id))
        return bool(settled)

    def seen(self, entry_id: int) -> None:
        """Stores that the entry's scheduler lives, and holds its locks for another lease."""
        now = time.time_ns()
        with self._store._transaction() as connection:
            connection.execute(_log.update().where(_log.c.id == entry_id).values(seen_at_ns=now))
            mine = _lock.update().where(_lock.c.log_id == entry_id)
            connection.execute(mine.values(lease_until_ns=now + LEASE_NS))

    def entries(self, *, job: str | None = None, group: str | None = None, limit: int = 50) -> list[Entry]:
        """The newest entries first."""
        query = sa.select(_log).order_by(_log.c.id.desc()).limit(limit)
        query = query if job is None else query.where(_log.c.job == job)
        query = query if group is None else query.where(_log.c.job_group == group)
        return self._entries(query)

    def unfinished(self, group: str) -> list[Entry]:
        """The entries of a group that are due, waiting or running, oldest first."""
        query = sa.select(_log).where(_log.c.job_group == group, _log.c.state.in_(OPEN)).order_by(_log.c.id)
        return self._entries(query)

    def take(self, entry_id: int, targets: Sequence[str]) -> str | None:
        """Takes every target for this entry, or none of them; the words are who has the one in the way."""
        now = time.time_ns()
        with self._store._transaction() as connection:
            for target in sorted(targets):
                if holder := self._taken(connection, entry_id, target, now):
                    connection.rollback()
                    return f"{target} is in use by {holder}"
        return None

    def release(self, entry_id: int) -> None:
        """Gives back every target of an entry."""
        with self._store._transaction() as connection:
            connection.execute(_lock.delete().where(_lock.c.log_id == entry_id))

    def holders(self) -> Mapping[str, int]:
        """Which entry holds which target by a lease that has not run out."""
        query = sa.select(_lock.c.target, _lock.c.log_id).where(_lock.c.lease_until_ns > time.time_ns())
        with self._store._transaction() as connection:
            return {str(target): int(entry) for target, entry in connection.execute(query)}

    def last_holders(self, entry_id: int, targets: Sequence[str]) -> list[Entry]:
        """The other entries that took one of the targets and did not give it back, lease or no lease."""
        took = sa.select(_lock.c.log_id).where(_lock.c.target.in_(targets))
        return self._entries(sa.select(_log).where(_log.c.id.in_(took), _log.c.id != entry_id))

    def measured(self, urls: Sequence[str]) -> str | None:
        """The run under way, by whomever started, against one of the URLs; its id, or None."""
        fresh = _run.c.heartbeat_at_ns > time.time_ns() - SILENT_NS
        query = sa.select(_run.c.id).where(_run.c.state == "running", fresh, _run.c.url.in_(urls))
        with self._store._transaction() as connection:
            found = connection.execute(query.limit(1)).scalar()
        return None if found is None else str(found)

    def _taken(self, connection: sa.Connection, entry_id: int, target: str, now: int) -> str | None:
        """None when the target is this entry's from now on, else who holds it."""
        row = {"log_id": entry_id, "taken_at_ns": now, "lease_until_ns": now + LEASE_NS}
        free = sa.or_(_lock.c.lease_until_ns <= now, _lock.c.log_id == entry_id)
        if connection.execute(_lock.update().where(_lock.c.target == target, free).values(**row)).rowcount:
            return None
        try:
            with connection.begin_nested():
                connection.execute(_lock.insert(), {"target": target, **row})
            return None
        except sa.exc.IntegrityError:
            holder = sa.select(_log).join(_lock, _lock.c.log_id == _log.c.id).where(_lock.c.target == target)
            found = connection.execute(holder).mappings().first()
            return f"job {found['job']} on {found['host']} (log {found['id']})" if found else "another job"

    def _entries(self, query: sa.Select[Any]) -> list[Entry]:
        with self._store._transaction() as connection:
            return [Entry.from_row(row) for row in connection.execute(query).mappings()]
