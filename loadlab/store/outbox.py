"""Alerts on their way: written down before they are sent, so that none is lost and none is sent twice."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from loadlab.core.units import NS_PER_S
from loadlab.store import schema
from loadlab.store.rows import text
from loadlab.store.store import Store

_alert = schema.alert
_SENDING_NS = 60 * NS_PER_S
NEVER_NS = 2**62


@dataclass(frozen=True, slots=True)
class Letter:
    """A row of table `alert`: one alert for one channel. Sent when `sent_at_ns`, given up at NEVER_NS."""

    id: int
    occasion: str
    channel: str
    subject: str
    event: str
    document: Mapping[str, Any]
    created_at_ns: int
    next_try_at_ns: int
    attempts: int
    sent_at_ns: int | None
    error: str

    @classmethod
    def from_row(cls, row: RowMapping) -> Self:
        """The letter of a row."""
        return cls(**row)


class Outbox:
    """The table `alert` of an open store. Each method is one transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, document: Mapping[str, Any], channels: Iterable[str]) -> int:
        """Writes the alert down for each channel that does not have it yet; gives how many."""
        now = time.time_ns()
        about = {
            "document": dict(document),
            "created_at_ns": now,
            "next_try_at_ns": now,
            "attempts": 0,
            "error": "",
        }
        about |= {key: document[key] for key in ("occasion", "subject", "event")}
        with self._store._transaction() as connection:
            return sum(self._added(connection, {**about, "channel": channel}) for channel in channels)

    def last_events(self) -> dict[str, str]:
        """Of each subject the newest event: what its readers think it is like."""
        newest = sa.select(sa.func.max(_alert.c.id)).group_by(_alert.c.subject)
        query = sa.select(_alert.c.subject, _alert.c.event).where(_alert.c.id.in_(newest))
        with self._store._transaction() as connection:
            return {str(subject): str(event) for subject, event in connection.execute(query)}

    def claim(self, channels: Sequence[str]) -> Letter | None:
        """The oldest letter to these channels that is due, for the next minute nobody else's; or None."""
        now = time.time_ns()
        due = sa.select(_alert).where(
            _alert.c.sent_at_ns.is_(None), _alert.c.next_try_at_ns <= now, _alert.c.channel.in_(channels)
        )
        with self._store._transaction() as connection:
            rows = connection.execute(due.order_by(_alert.c.id).limit(20)).mappings().all()
        return next((Letter.from_row(row) for row in rows if self._mine(row, now)), None)

    def sent(self, letter: Letter) -> None:
        """Stores that it arrived."""
        self._note(letter, sent_at_ns=time.time_ns(), error="")

    def failed(self, letter: Letter, error: str, again_in_s: float | None) -> None:
        """Stores why it did not arrive, and when to try again; None gives it up."""
        at = NEVER_NS if again_in_s is None else time.time_ns() + round(again_in_s * NS_PER_S)
        self._note(letter, error=text(error, 2000), next_try_at_ns=at)

    def letters(self, limit: int = 50) -> list[Letter]:
        """The newest first."""
        query = sa.select(_alert).order_by(_alert.c.id.desc()).limit(limit)
        with self._store._transaction() as connection:
            return [Letter.from_row(row) for row in connection.execute(query).mappings()]

    def next_try_at_ns(self) -> int | None:
        """When the next unsent letter is due; None when nothing waits."""
        waiting = sa.and_(_alert.c.sent_at_ns.is_(None), _alert.c.next_try_at_ns < NEVER_NS)
        with self._store._transaction() as connection:
            found = connection.execute(
                sa.select(sa.func.min(_alert.c.next_try_at_ns)).where(waiting)
            ).scalar()
        return None if found is None else int(found)

    def _added(self, connection: sa.Connection, row: Mapping[str, Any]) -> bool:
        try:
            with connection.begin_nested():
                connection.execute(_alert.insert(), dict(row))
            return True
        except sa.exc.IntegrityError:
            return False

    def _mine(self, row: RowMapping, now: int) -> bool:
        """Whether nobody else took it since it was read."""
        same = (_alert.c.id == row["id"], _alert.c.next_try_at_ns == row["next_try_at_ns"])
        values = {"next_try_at_ns": now + _SENDING_NS, "attempts": row["attempts"] + 1}
        with self._store._transaction() as connection:
            taken = _alert.update().where(*same, _alert.c.sent_at_ns.is_(None)).values(**values)
            return bool(connection.execute(taken).rowcount)

    def _note(self, letter: Letter, **values: Any) -> None:
        self._store._update(_alert, (_alert.c.id == letter.id,), **values)
