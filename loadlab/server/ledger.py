"""What the sim engine really did: every write of every request, on `core.clock`.

Kept in memory, newest last, and bounded; aggregates are exact nearest-rank quantiles of what is kept.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from loadlab.core.units import NS_PER_MS

KEPT_REQUESTS = 20_000
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Entry:
    """One request: when it came, when each token was written and how late the latest of them was."""

    __slots__ = ("arrival_ns", "id", "late_ns", "writes")

    def __init__(self, job_id: str, arrival_ns: int) -> None:
        self.id, self.arrival_ns = job_id, arrival_ns
        self.writes = array("q")
        self.late_ns = 0

    def written(self, due_ns: int, at_ns: int) -> None:
        """Notes one token."""
        self.writes.append(at_ns)
        self.late_ns = max(self.late_ns, at_ns - due_ns)

    def gaps(self) -> list[int]:
        """Nanoseconds between neighbouring tokens."""
        return [later - earlier for earlier, later in zip(self.writes, self.writes[1:], strict=False)]

    def row(self, with_gaps: bool) -> dict[str, Any]:
        """The entry as JSON."""
        row = {
            "id": self.id,
            "arrival_ns": self.arrival_ns,
            "first_token_ns": self.writes[0] if self.writes else None,
            "last_token_ns": self.writes[-1] if self.writes else None,
            "tokens": len(self.writes),
            "late_max_ns": self.late_ns,
        }
        return {**row, "gaps_ns": self.gaps()} if with_gaps else row


class Ledger:
    """The newest `KEPT_REQUESTS` entries."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_REQUESTS)

    def open(self, job_id: str, arrival_ns: int) -> Entry:
        """Starts the entry of a request."""
        entry = Entry(job_id, arrival_ns)
        self._entries.append(entry)
        return entry

    def document(self, since_ns: int = 0, gaps: bool = False) -> bytes:
        """JSON of the requests that arrived at or after `since_ns`, with the quantiles over them."""
        entries = [entry for entry in self._entries if entry.arrival_ns >= since_ns]
        return orjson.dumps(
            {
                "clock": "perf_counter_ns",
                "ttft_ms": _quantiles(e.writes[0] - e.arrival_ns for e in entries if e.writes),
                "itl_ms": _quantiles(gap for entry in entries for gap in entry.gaps()),
                "late_max_ms": _quantiles(e.late_ns for e in entries if e.writes),
                "requests": [entry.row(gaps) for entry in entries],
            }
        )


def _quantiles(values_ns: Iterable[int]) -> dict[str, float | int | None]:
    """Nearest rank, in milliseconds; None where nothing was seen."""
    ranked = sorted(values_ns)
    named = {name: _at(ranked, share) for name, share in _QUANTILES.items()}
    mean = sum(ranked) / len(ranked) / NS_PER_MS if ranked else None
    return {"n": len(ranked), "mean": mean, **named, "max": ranked[-1] / NS_PER_MS if ranked else None}


def _at(ranked: Sequence[int], share: float) -> float | None:
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] / NS_PER_MS if ranked else None
