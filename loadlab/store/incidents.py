"""Incidents in the store: opened once, put from state to state with a reason, told of once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from loadlab.core.errors import NoDataError, UnknownNameError
from loadlab.core.incident import STATES, Change, Incident
from loadlab.store import schema
from loadlab.store.rows import text

_table = schema.incident
_LIMITS = {"scenario": 200, "target": 200, "model": 300, "hardware": 200}


class Incidents:
    """The table `incident` of an open store."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._transaction = transaction

    def add(self, incident: Incident) -> None:
        """Stores a new incident. Raises StoreError for an id that is there."""
        row = {**asdict(incident), "metrics": list(incident.metrics)}
        row["changes"] = [asdict(change) for change in incident.changes]
        row.update({name: text(row[name], limit) for name, limit in _LIMITS.items()})
        with self._transaction() as connection:
            connection.execute(_table.insert(), row)

    def all(self, states: Sequence[str] | None = None, *, untold: bool = False) -> list[Incident]:
        """The incidents, newest first: in any of these states, and only those nobody was told of."""
        query = sa.select(_table).order_by(_table.c.opened_at_ns.desc(), _table.c.id.desc())
        if states is not None:
            query = query.where(_table.c.state.in_(list(states)))
        if untold:
            query = query.where(_table.c.notified_at_ns.is_(None))
        with self._transaction() as connection:
            return [Incident.from_row(dict(row)) for row in connection.execute(query).mappings()]

    def one(self, ref: str) -> Incident:
        """The incident of that id or unique prefix, or "latest". Raises NoDataError."""
        found = self.all()
        known = [each.id for each in found]
        found = found[:1] if ref == "latest" else [each for each in found if ref and each.id.startswith(ref)]
        if len(found) != 1:
            shown = ", ".join(known[:5]) or "there is none yet"
            raise NoDataError(f"incident '{ref}' is not stored ({shown}); `loadlab history list` shows all.")
        return found[0]

    def change(self, ref: str, state: str, by: str, why: str) -> Incident:
        """Puts an incident into a state; keeps who did it and why. Raises UnknownNameError, NoDataError."""
        if state not in STATES:
            raise UnknownNameError("state", state, STATES)
        incident = self.one(ref)
        change = Change(time.time_ns(), state, by, text(why, 2000) or "")
        changes = [asdict(each) for each in (*incident.changes, change)]
        self._update(incident.id, state=state, changes=changes)
        return self.one(incident.id)

    def revise(self, incident: Incident) -> None:
        """Stores the metrics and the evidence of an incident that more runs say more about."""
        self._update(incident.id, metrics=list(incident.metrics), evidence=dict(incident.evidence))

    def mark_notified(self, incident_id: str) -> None:
        """Stores that somebody was told of it now."""
        self._update(incident_id, notified_at_ns=time.time_ns())

    def _update(self, incident_id: str, **values: Any) -> None:
        with self._transaction() as connection:
            done = connection.execute(_table.update().where(_table.c.id == incident_id).values(**values))
        if not done.rowcount:
            raise NoDataError(f"incident '{incident_id}' is not stored; `loadlab history list` shows all.")
