"""What the runs cost, kept as long as nothing new was run or priced. Knows the store's ledger, no layout."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pandas as pd

from loadlab import pricing
from loadlab.analysis.spending import spending
from loadlab.core.errors import LoadlabError
from loadlab.store import Sought

from .moments import day, month_start_ns
from .source import Source

_KEPT = 8


class Spent:
    """Reads the ledger for the pages; the last eight answers are kept while the store stands still."""

    def __init__(self) -> None:
        self._frames: OrderedDict[Any, Any] = OrderedDict()

    def runs(self, source: Source, since_ns: int, since_words: str) -> pd.DataFrame:
        """One row per run begun since then, with its `day` (UTC) and what it cost in USD."""

        def read() -> pd.DataFrame:
            found = spending(source.store, since_ns)
            return found.assign(day=[day(at) for at in found["started_at_ns"]])

        frame: pd.DataFrame = self._once((since_words, _standing(source)), read)
        return frame

    def kept(self, source: Source, since_ns: int, since_words: str, ttft_ms: float) -> dict[str, int]:
        """By run, how many requests succeeded with that time to first token at most."""
        key = (since_words, ttft_ms, _standing(source))
        found: dict[str, int] = self._once(key, lambda: source.store.kept(since_ns, ttft_ms=ttft_ms))
        return found

    def _once(self, key: Any, read: Any) -> Any:
        if key not in self._frames:
            self._frames[key] = read()
            if len(self._frames) > _KEPT:
                self._frames.popitem(last=False)
        return self._frames[key]


def _standing(source: Source) -> tuple[Any, ...]:
    """Changes as soon as a run begins, ends, goes on or is priced again."""
    newest, total = source.store.runs_page(Sought(), 0, 1)
    first = newest.iloc[0] if len(newest) else None
    mark = None if first is None else (first["id"], first["state"], int(first["n_requests"]))
    return source.where, total, mark, source.store.pricing_count()


SPENT = Spent()


def allowed() -> tuple[float | None, str]:
    """What may be spent in a month by loadlab.toml, or why that cannot be read."""
    try:
        return pricing.budget_usd_per_month(), ""
    except LoadlabError as error:
        return None, str(error)


def month_usd(source: Source) -> float | None:
    """What the runs of this month cost so far (USD, UTC); None where none is priced."""
    rows = SPENT.runs(source, month_start_ns(), "month")
    return None if rows.empty or rows["usd_at_least"].isna().all() else float(rows["usd_at_least"].sum())
