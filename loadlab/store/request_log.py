"""Requests one page, one row or one piece of news at a time, without the million beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from loadlab.core.errors import NoDataError, UnknownNameError
from loadlab.store import codec, schema

if TYPE_CHECKING:
    import pandas as pd

_request, _arrivals = schema.request, schema.arrivals
_c = _request.c
_ttft_ns = (_c.first_token_ns - _c.sent_ns).label("ttft_ns")
_e2e_ns = (_c.done_ns - _c.sent_ns).label("e2e_ns")
_base_ns = sa.func.coalesce(_c.sent_ns, _c.planned_ns).label("base_ns")
ORDERS: dict[str, Any] = {
    "planned": _c.planned_ns,
    "ttft": _ttft_ns,
    "e2e": _e2e_ns,
    "tokens": _c.output_tokens,
    "status": _c.status,
}
_SHOWN = (
    _c.worker, _c.seq, _c.level, _c.warmup, _c.planned_ns, _c.sent_ns, _c.status, _c.error_kind,
    _c.error_detail, _c.finish_reason, _c.prompt_tokens, _c.output_tokens, _ttft_ns, _e2e_ns,
)  # fmt: skip
_NEWS = (
    _c.worker, _c.seq, _c.level, _c.warmup, _c.planned_ns, _c.sent_ns, _c.first_token_ns, _c.done_ns,
    _c.status, _c.error_kind, _c.error_detail, _c.output_tokens, _c.cost_nano_usd,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Filter:
    """Which requests of a run; None and "" are no limit. `outcome` is "ok" or "failed"."""

    level: int | None = None
    outcome: str = ""
    kind: str = ""
    status: int | None = None
    slower_than_ns: int | None = None

    def of(self, run_id: str) -> list[sa.ColumnElement[bool]]:
        """The conditions of a query."""
        asked = [
            (self.level is not None, _c.level == self.level),
            (self.outcome == "ok", _c.error_kind.is_(None)),
            (self.outcome == "failed", _c.error_kind.is_not(None)),
            (bool(self.kind), _c.error_kind == self.kind),
            (self.status is not None, _c.status == self.status),
            (self.slower_than_ns is not None, _ttft_ns.element > (self.slower_than_ns or 0)),
        ]
        return [_c.run_id == run_id, *(condition for wanted, condition in asked if wanted)]


@dataclass(frozen=True, slots=True, eq=False)
class News:
    """Requests that came since the last look, and their gaps: `counts[i]` of `gaps_ms` belong to row i."""

    requests: pd.DataFrame
    gaps_ms: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]


class RequestLog:
    """The table `request` of an open store, read in small pieces. Times are ns from the run's anchor."""

    def __init__(self, transaction: Callable[[], AbstractContextManager[sa.Connection]]) -> None:
        self._transaction = transaction

    def page(
        self, run_id: str, of: Filter, order: str, *, descending: bool, offset: int, limit: int
    ) -> tuple[pd.DataFrame, int]:
        """One page of the chosen requests, with ttft_ns and e2e_ns, and how many are chosen in all.

        `order` is a name of `ORDERS`; unknown values come last. Raises UnknownNameError.
        """
        if order not in ORDERS:
            raise UnknownNameError("order", order, ORDERS)
        by = ORDERS[order].desc() if descending else ORDERS[order].asc()
        chosen = of.of(run_id)
        query = sa.select(*_SHOWN).where(*chosen).order_by(by.nulls_last(), _c.worker, _c.seq)
        with self._transaction() as connection:
            total = connection.execute(
                sa.select(sa.func.count()).select_from(_request).where(*chosen)
            ).scalar()
            return _frame(connection, query.offset(offset).limit(limit)), int(total or 0)

    def one(self, run_id: str, worker: int, seq: int) -> dict[str, Any]:
        """One request with every column. Raises NoDataError."""
        query = sa.select(_request).where(_c.run_id == run_id, _c.worker == worker, _c.seq == seq)
        with self._transaction() as connection:
            found = connection.execute(query).mappings().one_or_none()
        if found is None:
            raise NoDataError(f"run {run_id} has no request {worker}-{seq} (worker and number).")
        return dict(found)

    def outcomes(self, run_id: str) -> pd.DataFrame:
        """How many requests of a run ended how: level, warmup, status, error_kind, n."""
        by = [_c.level, _c.warmup, _c.status, _c.error_kind]
        query = sa.select(*by, sa.func.count().label("n")).where(_c.run_id == run_id).group_by(*by)
        with self._transaction() as connection:
            return _frame(connection, query.order_by(_c.level, sa.desc("n")))

    def stalls(self, run_id: str, over_ms: float, limit: int) -> pd.DataFrame:
        """The longest waits between two arrivals of one request: worker, seq, level, at_ns, waited_ms."""
        query = (
            sa.select(_c.worker, _c.seq, _c.level, _base_ns, _arrivals.c.codec, _arrivals.c.blob)
            .join_from(_request, _arrivals)
            .where(_c.run_id == run_id)
            .order_by(_c.worker, _c.seq)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        gaps_ms, counts = codec.gaps_ms([row.codec for row in rows], [row.blob for row in rows])
        long = np.flatnonzero(gaps_ms > over_ms)
        longest = long[np.argsort(-gaps_ms[long])][:limit]
        firsts, owner = np.cumsum(counts) - counts, np.repeat(np.arange(len(rows)), counts)
        import pandas as pd

        found = []
        for gap in longest:
            row = rows[owner[gap]]
            arrivals = codec.decode(row.codec, row.blob, row.base_ns)
            began = arrivals[int(gap - firsts[owner[gap]])]
            found.append((row.worker, row.seq, row.level, began, float(gaps_ms[gap])))
        return pd.DataFrame(found, columns=["worker", "seq", "level", "at_ns", "waited_ms"])

    def news(self, run_id: str, seen: Mapping[int, int], limit: int | None = None) -> News:
        """Requests that are not `seen`: of each worker those above a number, of other workers all.

        In the order of worker and number, at most `limit` of them.
        """
        known = [sa.and_(_c.worker == worker, _c.seq > seq) for worker, seq in seen.items()]
        fresh = sa.or_(*known, _c.worker.not_in(list(seen))) if known else sa.true()
        query = (
            sa.select(*_NEWS, _arrivals.c.codec, _arrivals.c.blob)
            .join_from(_request, _arrivals, isouter=True)
            .where(_c.run_id == run_id, fresh)
            .order_by(_c.worker, _c.seq)
            .limit(limit)
        )
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        codecs, blobs = [row.codec or 4 for row in rows], [row.blob or b"" for row in rows]
        gaps_ms, counts = codec.gaps_ms(codecs, blobs)
        import pandas as pd

        found = pd.DataFrame([row[: len(_NEWS)] for row in rows], columns=[each.name for each in _NEWS])
        return News(found, gaps_ms, counts)


def _frame(connection: sa.Connection, query: sa.Select[Any]) -> pd.DataFrame:
    """The rows with the types the database gave them: some columns are computed and have no declared one."""
    import pandas as pd

    rows = connection.execute(query).all()
    return pd.DataFrame([tuple(row) for row in rows], columns=[each.name for each in query.selected_columns])
