"""Runs by the page: found by words and exact values, in a chosen order, counted in the store."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from loadlab.core.errors import UnknownNameError
from loadlab.store import frames, schema
from loadlab.store.stored import SILENT_NS

if TYPE_CHECKING:
    import pandas as pd

_run = schema.run.c
ORDERS = {
    "started": _run.started_at_ns,
    "scenario": _run.scenario,
    "target": _run.target,
    "model": _run.model,
    "label": _run.label,
    "verdict": _run.verdict,
}
EXACT = ("scenario", "target", "model", "label", "state", "verdict")
_SEARCHED = (_run.id, _run.scenario, _run.target, _run.model, _run.label)


@dataclass(frozen=True, slots=True)
class Sought:
    """Which runs: every one of `words` in its id, scenario, target, model or label; `exact` columns as given.

    `order` is a key of ORDERS, descending unless `ascending`; of equals the newest comes first.
    """

    words: str = ""
    exact: Mapping[str, str] = field(default_factory=dict)
    order: str = "started"
    ascending: bool = False


def page(connection: sa.Connection, sought: Sought, offset: int, limit: int) -> tuple[pd.DataFrame, int]:
    """At most `limit` runs from `offset` on, as `frames.runs` gives them; and how many there are in all."""
    if sought.order not in ORDERS:
        raise UnknownNameError("order of runs", sought.order, ORDERS)
    conditions = _conditions(sought)
    total = connection.execute(sa.select(sa.func.count()).select_from(schema.run).where(*conditions)).scalar()
    column = ORDERS[sought.order]
    by = (column.asc() if sought.ascending else column.desc(), _run.started_at_ns.desc(), _run.id.desc())
    # The ids first: the counts of requests are then made for the runs of this page alone.
    ids = list(
        connection.execute(
            sa.select(_run.id).where(*conditions).order_by(*by).offset(offset).limit(limit)
        ).scalars()
    )
    found = frames.runs(connection, None, ids)
    return found.set_index("id").loc[ids].reset_index(), int(total or 0)


def _conditions(sought: Sought) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = [
        sa.or_(*(column.icontains(word, autoescape=True) for column in _SEARCHED))
        for word in sought.words.split()
    ]
    for name, value in sought.exact.items():
        if name not in EXACT:
            raise UnknownNameError("column of runs", name, EXACT)
        found.append(_state(value) if name == "state" else _run[name] == value)
    return found


def _state(wanted: str) -> sa.ColumnElement[bool]:
    """As runs are shown: one that is `running` and silent was interrupted."""
    silent = _run.heartbeat_at_ns < time.time_ns() - SILENT_NS
    if wanted == "interrupted":
        return sa.or_(_run.state == wanted, sa.and_(_run.state == "running", silent))
    return sa.and_(_run.state == wanted, sa.not_(silent)) if wanted == "running" else _run.state == wanted


def kinds(connection: sa.Connection) -> list[dict[str, Any]]:
    """Each target with its URL and model: how many runs, and when the newest began (UTC ns)."""
    by = (_run.target, _run.url, _run.model)
    newest = sa.func.max(_run.started_at_ns).label("newest_at_ns")
    query = sa.select(*by, sa.func.count().label("runs"), newest).group_by(*by).order_by(newest.desc())
    return [dict(row) for row in connection.execute(query).mappings()]
