"""Rows as pandas frames, one fixed dtype per column, also when there are no rows.

A column that may be NULL becomes float64 with NaN: offsets stay exact up to 2**53 ns, which is 104 days.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from loadlab.core.units import NS_PER_MS
from loadlab.store import codec, schema

if TYPE_CHECKING:
    import pandas as pd

_request, _arrivals = schema.request.c, schema.arrivals.c


def frame(connection: sa.Connection, query: sa.Select[Any]) -> pd.DataFrame:
    """The query's rows, column by column."""
    import pandas as pd

    columns = list(query.selected_columns)
    rows = connection.execute(query).all()
    cells: Sequence[Any] = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {column.name: _series(cell, column) for cell, column in zip(cells, columns, strict=True)}
    )


def _series(cells: Sequence[Any], column: Any) -> Any:
    import pandas as pd

    nullable = getattr(column, "nullable", False)
    match column.type:
        case sa.Boolean():
            return np.array(cells, bool)
        case sa.Integer():  # BigInteger too
            return np.array(cells, np.float64 if nullable else np.int64)
        case sa.Float():
            return np.array(cells, np.float64)
        case sa.JSON():
            return pd.Series(list(cells), dtype=object)
        case _:
            return pd.Series(list(cells), dtype="str")


def runs(
    connection: sa.Connection, limit: int | None, ids: Sequence[str] | None = None, since_ns: int = 0
) -> pd.DataFrame:
    """One row per run (of these ids, begun since then), newest first, with n_levels, n_requests, n_failed."""
    run = schema.run
    of_run = sa.select(sa.func.count()).where(_request.run_id == run.c.id)
    levels = sa.select(sa.func.count()).where(schema.level.c.run_id == run.c.id)
    query = sa.select(
        *(column for column in run.c if column.name not in ("spec", "environment")),
        levels.scalar_subquery().label("n_levels"),
        of_run.scalar_subquery().label("n_requests"),
        of_run.where(_request.error_kind.is_not(None)).scalar_subquery().label("n_failed"),
    )
    if since_ns:
        query = query.where(run.c.started_at_ns >= since_ns)
    if ids is not None:
        query = query.where(run.c.id.in_(ids))
    return frame(connection, query.order_by(run.c.started_at_ns.desc(), run.c.id.desc()).limit(limit))


def levels(connection: sa.Connection, run_id: str) -> pd.DataFrame:
    """The table `level` of one run, in order."""
    level = schema.level
    return frame(connection, sa.select(level).where(level.c.run_id == run_id).order_by(level.c.level))


def requests(connection: sa.Connection, run_id: str, level: int | None) -> pd.DataFrame:
    """The table `request` of one run or one of its levels, in the order planned."""
    query = sa.select(schema.request).where(*_chosen(run_id, level))
    return frame(connection, query.order_by(_request.planned_ns, _request.worker, _request.seq))


def readings(
    connection: sa.Connection, run_id: str, since_ns: int | None = None, until_ns: int | None = None
) -> pd.DataFrame:
    """The table `reading` of one run, in order of time; `since_ns` and `until_ns` belong to the window."""
    reading = schema.reading
    query = sa.select(reading).where(reading.c.run_id == run_id)
    if since_ns is not None:
        query = query.where(reading.c.at_ns >= since_ns)
    if until_ns is not None:
        query = query.where(reading.c.at_ns <= until_ns)
    return frame(connection, query.order_by(reading.c.at_ns, reading.c.id))


def calibration(connection: sa.Connection, load_host: Mapping[str, Any]) -> pd.DataFrame:
    """The table `calibration` of one load host: the newest row of each load."""
    table = schema.calibration
    of_host = [table.c[name] == value for name, value in load_host.items()]
    newest_first = table.c.calibrated_at_ns.desc(), table.c.id.desc()
    found = frame(connection, sa.select(table).where(*of_host).order_by(*newest_first))
    load = ["processes", "streams", "tokens_per_s"]
    return found.drop_duplicates(load).sort_values(load, ignore_index=True)


def baselines(connection: sa.Connection) -> pd.DataFrame:
    """The table `baseline`, of each name the newest set."""
    table = schema.baseline
    newest = sa.select(table.c.name, sa.func.max(table.c.set_at_ns).label("at")).group_by(table.c.name)
    last = newest.subquery()
    query = sa.select(table.c.name, table.c.set_at_ns, table.c.run_id, table.c.why).join(
        last, (table.c.name == last.c.name) & (table.c.set_at_ns == last.c.at)
    )
    return frame(connection, query.order_by(table.c.name, table.c.id))


def gates(connection: sa.Connection, limit: int | None) -> pd.DataFrame:
    """The table `gate`, newest first."""
    table = schema.gate
    newest_first = table.c.judged_at_ns.desc(), table.c.id.desc()
    return frame(connection, sa.select(table).order_by(*newest_first).limit(limit))


def studies(connection: sa.Connection) -> pd.DataFrame:
    """The table `vendor_study`, of each name the newest document, newest first."""
    table = schema.vendor_study
    newest_first = table.c.defined_at_ns.desc(), table.c.id.desc()
    found = frame(connection, sa.select(table).order_by(*newest_first))
    return found.drop_duplicates("name").reset_index(drop=True)[["name", "defined_at_ns", "document"]]


def vendor_slots(connection: sa.Connection, study: str) -> pd.DataFrame:
    """The table `vendor_slot` of one comparison, in the order measured."""
    table = schema.vendor_slot
    return frame(connection, sa.select(table).where(table.c.study == study).order_by(table.c.id))


def vendor_requests(connection: sa.Connection, study: str) -> pd.DataFrame:
    """The requests of the runs of a comparison that count, with their slot, workload and vendor."""
    slot, run = schema.vendor_slot, schema.run
    query = (
        sa.select(
            slot.c.slot, slot.c.workload, slot.c.vendor, run.c.started_at_ns, run.c.verdict, schema.request
        )
        .join_from(slot, run, slot.c.run_id == run.c.id)
        .join(schema.request, schema.request.c.run_id == run.c.id)
        .where(slot.c.study == study, slot.c.state == "done")
    )
    return frame(connection, query.order_by(slot.c.id, _request.planned_ns, _request.seq))


def spent(connection: sa.Connection, since_ns: int) -> pd.DataFrame:
    """Sums of the requests of runs begun since then, by run, level, warm-up and outcome."""
    ok, run = _request.error_kind.is_(None).label("ok"), schema.run.c
    by = [_request.run_id, _request.level, _request.warmup, ok]
    sums = [
        sa.func.count().label("requests"),
        sa.func.sum(_request.prompt_tokens).label("prompt_tokens"),
        sa.func.sum(_request.output_tokens).label("output_tokens"),
        sa.func.count(_request.output_tokens).label("known_outputs"),
        sa.func.sum(_request.cached_tokens).label("cached_tokens"),
        sa.func.sum(_request.cache_write_tokens).label("cache_write_tokens"),
        sa.func.sum(_request.reasoning_tokens).label("reasoning_tokens"),
        sa.func.sum(_request.cost_nano_usd).label("cost_nano_usd"),
        sa.func.count(_request.cost_nano_usd).label("known_costs"),
        sa.func.min(_request.planned_ns).label("first_ns"),
        sa.func.max(_request.done_ns).label("last_ns"),
    ]
    query = sa.select(*by, *sums).join_from(schema.request, schema.run).where(run.started_at_ns >= since_ns)
    import pandas as pd

    rows = connection.execute(query.group_by(*by).order_by(_request.run_id, _request.level)).mappings()
    names = [column.name for column in by] + [column.name for column in sums]
    return pd.DataFrame([dict(row) for row in rows], columns=names, dtype=object)


def kept(
    connection: sa.Connection, since_ns: int, ttft_ms: float | None, e2e_ms: float | None
) -> dict[str, int]:
    """By run begun since then, how many requests succeeded within these limits."""
    run = schema.run.c
    limits = [
        last - _request.sent_ns <= limit * NS_PER_MS
        for last, limit in ((_request.first_token_ns, ttft_ms), (_request.done_ns, e2e_ms))
        if limit is not None
    ]
    query = (
        sa.select(_request.run_id, sa.func.count())
        .join_from(schema.request, schema.run)
        .where(run.started_at_ns >= since_ns, _request.error_kind.is_(None), *limits)
        .group_by(_request.run_id)
    )
    return {str(ref): int(n) for ref, n in connection.execute(query)}


def gaps(connection: sa.Connection, run_id: str, level: int | None) -> pd.DataFrame:
    """One row per gap between neighbouring arrivals: level, warmup, ok (the request did not fail), itl_ms."""
    import pandas as pd

    query = (
        sa.select(
            _request.level, _request.warmup, _request.error_kind.is_(None), _arrivals.codec, _arrivals.blob
        )
        .join_from(schema.request, schema.arrivals)
        .where(*_chosen(run_id, level))
        .order_by(_request.planned_ns, _request.worker, _request.seq)
    )
    rows = connection.execute(query).all()
    levels, warmups, oks, codecs, blobs = list(zip(*rows, strict=True)) or [()] * 5
    itl_ms, counts = codec.gaps_ms(codecs, blobs)
    return pd.DataFrame(
        {
            "level": np.repeat(np.array(levels, np.int64), counts),
            "warmup": np.repeat(np.array(warmups, bool), counts),
            "ok": np.repeat(np.array(oks, bool), counts),
            "itl_ms": itl_ms,
        }
    )


def _chosen(run_id: str, level: int | None) -> list[sa.ColumnElement[bool]]:
    chosen = [_request.run_id == run_id]
    return chosen if level is None else [*chosen, _request.level == level]
