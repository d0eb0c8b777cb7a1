"""A run that goes on where it was interrupted: what is kept, and where its counters stand."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import sqlalchemy as sa

from loadlab.core.nouns import Level
from loadlab.store import schema

_run, _level, _request = schema.run, schema.level, schema.request


@dataclass(frozen=True, slots=True)
class Reached:
    """`finished` levels; the first `seq` that no request has; how many requests each worker sent in them."""

    finished: tuple[int, ...] = ()
    seq: int = 0
    sent: Mapping[int, int] = field(default_factory=dict)


def add_to_spec(connection: sa.Connection, run_id: str, level: Level) -> None:
    """Writes a level into the run's spec unless it is there: levels may be chosen as the run goes on."""
    spec = connection.execute(sa.select(_run.c.spec).where(_run.c.id == run_id)).scalar_one()
    if all(known["index"] != level.index for known in spec["levels"]):
        spec = {**spec, "levels": [*spec["levels"], asdict(level)]}
        connection.execute(_run.update().where(_run.c.id == run_id).values(spec=spec))


def reopen(connection: sa.Connection, run_id: str) -> None:
    """The run is running; its unfinished levels have not begun, and their requests count as warm-up."""
    cut = _level.c.run_id == run_id, _level.c.finished_ns.is_(None)
    levels = sa.select(_level.c.level).where(*cut)
    of_them = _request.c.run_id == run_id, _request.c.level.in_(levels)
    connection.execute(_request.update().where(*of_them).values(warmup=True))
    connection.execute(_level.delete().where(*cut))
    again = {"state": "running", "heartbeat_at_ns": time.time_ns(), "finished_at_ns": None, "verdict": None}
    connection.execute(_run.update().where(_run.c.id == run_id).values(**again, reasons=[]))


def reached(connection: sa.Connection, run_id: str) -> Reached:
    """How far the run has come. An attempt that was broken off counts for `seq`, and not for `sent`."""
    finished = sa.select(_level.c.level).where(_level.c.run_id == run_id, _level.c.finished_ns.is_not(None))
    last = sa.select(sa.func.max(_request.c.seq)).where(_request.c.run_id == run_id)
    sent = (
        sa.select(_request.c.worker, sa.func.count())
        .join(_level, sa.and_(_level.c.run_id == _request.c.run_id, _level.c.level == _request.c.level))
        .where(
            _request.c.run_id == run_id,
            _level.c.finished_ns.is_not(None),
            _request.c.planned_ns >= _level.c.started_ns,
        )
        .group_by(_request.c.worker)
    )
    levels = connection.execute(finished.order_by(_level.c.level)).scalars().all()
    highest = connection.execute(last).scalar()
    return Reached(
        tuple(levels),
        0 if highest is None else highest + 1,
        {int(row[0]): int(row[1]) for row in connection.execute(sent)},
    )
