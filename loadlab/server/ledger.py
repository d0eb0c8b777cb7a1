"""What a simulated engine was due to do and what it really did: every write of every request.

Times are on `core.clock`. Kept in memory, newest last, and bounded; aggregates are exact nearest-rank
quantiles of what is kept.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from loadlab.core.units import NS_PER_MS

if TYPE_CHECKING:
    import numpy as np

KEPT_REQUESTS = 20_000
_FOREVER = 2**63
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Entry:
    """One request: when it came, when each write was due and when it was done, and its tokens in all.

    `counted_ns` is when the engine's schedule took it in: at its arrival, unless that was read too late.
    """

    __slots__ = ("arrival_ns", "counted_ns", "dues", "id", "tokens", "writes")

    def __init__(self, job_id: str, arrival_ns: int) -> None:
        self.id, self.arrival_ns, self.counted_ns = job_id, arrival_ns, arrival_ns
        self.dues, self.writes = array("q"), array("q")
        self.tokens = 0

    def written(self, due_ns: int, at_ns: int, tokens: int = 1) -> None:
        """Notes one write, of several tokens where the engine had several at once."""
        self.dues.append(due_ns)
        self.writes.append(at_ns)
        self.tokens += tokens

    def row(self, with_gaps: bool) -> dict[str, Any]:
        """The entry as JSON."""
        dues, writes = self.dues, self.writes
        row = {
            "id": self.id,
            "arrival_ns": self.arrival_ns,
            "counted_ns": self.counted_ns,
            "first_due_ns": dues[0] if dues else None,
            "first_token_ns": writes[0] if writes else None,
            "last_due_ns": dues[-1] if dues else None,
            "last_token_ns": writes[-1] if writes else None,
            "tokens": self.tokens,
            "late_max_ns": max((at - due for due, at in zip(dues, writes, strict=True)), default=0),
        }
        return {**row, "due_gaps_ns": _gaps(dues), "gaps_ns": _gaps(writes)} if with_gaps else row


class Ledger:
    """The newest `KEPT_REQUESTS` entries."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_REQUESTS)

    def open(self, job_id: str, arrival_ns: int) -> Entry:
        """Starts the entry of a request."""
        entry = Entry(job_id, arrival_ns)
        self._entries.append(entry)
        return entry

    def answer(self, query: Mapping[str, str]) -> bytes:
        """As `document`: `since_ns`, `until_ns` and `rows=0` narrow it, `gaps=1` widens it. ValueError."""
        since_ns, until_ns = int(query.get("since_ns", 0)), int(query.get("until_ns", _FOREVER))
        return self.document(since_ns, until_ns, rows=query.get("rows") != "0", gaps=query.get("gaps") == "1")

    def document(self, since_ns: int, until_ns: int, *, rows: bool = True, gaps: bool = False) -> bytes:
        """JSON of the requests that arrived from `since_ns` to before `until_ns`, and quantiles over them.

        `ttft_ms` and `itl_ms` are what was done, `ttft_due_ms` and `itl_due_ms` what was due, `late_ms` how
        late each token was and `late_max_ms` the latest of each request.
        """
        entries = [entry for entry in self._entries if since_ns <= entry.arrival_ns < until_ns]
        requests = {"requests": [entry.row(gaps) for entry in entries]} if rows else {}
        return orjson.dumps({"clock": "perf_counter_ns", "n": len(entries), **_totals(entries), **requests})


def _totals(entries: Sequence[Entry]) -> dict[str, Any]:
    # Loaded when first asked: a server that is only served from does not need it.
    import numpy as np

    begun = [entry for entry in entries if entry.writes]
    dues, writes = [np.array(entry.dues) for entry in begun], [np.array(entry.writes) for entry in begun]
    late = [write - due for due, write in zip(dues, writes, strict=True)]
    arrivals = [entry.arrival_ns for entry in begun]
    return {
        "tokens": sum(entry.tokens for entry in entries),
        "ttft_ms": _quantiles([at[0] - arrival for at, arrival in zip(writes, arrivals, strict=True)]),
        "ttft_due_ms": _quantiles([at[0] - arrival for at, arrival in zip(dues, arrivals, strict=True)]),
        "itl_ms": _quantiles(_joined(map(np.diff, writes))),
        "itl_due_ms": _quantiles(_joined(map(np.diff, dues))),
        "late_ms": _quantiles(_joined(late)),
        "late_max_ms": _quantiles([each.max() for each in late]),
    }


def _joined(parts: Iterable[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    import numpy as np

    return np.concatenate([np.empty(0, np.int64), *parts])


def _quantiles(values_ns: Sequence[int] | np.ndarray[Any, Any]) -> dict[str, float | int | None]:
    """Nearest rank, in milliseconds; None where nothing was seen."""
    import numpy as np

    ranked = np.sort(np.asarray(values_ns, np.int64)) / NS_PER_MS
    n = len(ranked)
    if not n:
        return {"n": 0, **dict.fromkeys(("mean", *_QUANTILES, "max"))}
    named = {name: float(ranked[max(0, math.ceil(share * n) - 1)]) for name, share in _QUANTILES.items()}
    return {"n": n, "mean": float(ranked.mean()), **named, "max": float(ranked[-1])}


def _gaps(times: Sequence[int]) -> list[int]:
    """Nanoseconds between neighbouring tokens."""
    return [later - earlier for earlier, later in pairwise(times)]
