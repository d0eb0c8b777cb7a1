"""A run as it was stored."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import RowMapping

from loadlab.core.errors import StoreError
from loadlab.core.nouns import Price, Run, RunState, Terms, Verdict
from loadlab.core.units import NS_PER_S

SILENT_NS = 10 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Pricing:
    """A price and terms that a run was priced at, and when (UTC). A run's own is the first."""

    priced_at_ns: int
    price: Price | None
    unpriced: str
    terms: Terms

    @classmethod
    def from_row(cls, row: RowMapping) -> Pricing:
        """The pricing of a row of table `repricing`."""
        price = row["price"]
        return cls(
            row["priced_at_ns"],
            Price.from_dict(price) if price else None,
            row["unpriced"],
            Terms(**row["terms"]),
        )


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What was asked (`spec`), where (`environment`), at which price, and how it ended."""

    id: str
    state: RunState
    verdict: Verdict | None
    reasons: list[str]
    notes: list[str]
    started_at_ns: int
    finished_at_ns: int | None
    spec: Run
    environment: dict[str, Any]
    price: Price | None
    unpriced: str

    @classmethod
    def from_row(cls, row: RowMapping) -> StoredRun:
        """The run of a row of table `run`. Raises StoreError for a spec that this loadlab cannot read."""
        spec = {**row["spec"], "environment": row["environment"], "price": row["price"]}
        try:
            run = Run.from_dict(spec)
        except TypeError as error:
            raise StoreError(
                f"run {row['id']} was written by another version of loadlab ({error}); "
                "read it with that one (environment names it), or upgrade."
            ) from error
        return cls(
            id=row["id"],
            state=state(row["state"], row["heartbeat_at_ns"]),
            verdict=row["verdict"],
            reasons=row["reasons"],
            notes=row["notes"],
            started_at_ns=row["started_at_ns"],
            finished_at_ns=row["finished_at_ns"],
            spec=run,
            environment=row["environment"],
            price=run.price,
            unpriced=row["unpriced"],
        )


def state(written: RunState, heartbeat_at_ns: int) -> RunState:
    """The state to show: a run whose recorder has been silent for over 10 s was interrupted."""
    silent = time.time_ns() - heartbeat_at_ns > SILENT_NS
    return "interrupted" if written == "running" and silent else written
