"""A run followed while it lasts: only what is new is read, and kept second by second. Draws nothing.

The run's clock is that of its newest record, so that it needs no agreement between the clocks of two hosts.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from loadlab.analysis.percentiles import percentile
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.store.request_log import News

READ_EVERY_S = 0.5
AT_MOST = 20_000  # requests read in one look; a run that is long under way is caught up with in several
KEPT_A_SECOND = 500  # samples kept for percentiles
UNSEEN = 5_000  # a number this far below the newest of its worker is not waited for any longer
CLOSED_AFTER_S = 1.0  # the recorder writes four times a second
COLUMNS = (
    "t_s", "requests_per_s", "errors_per_s", "ttft_p50", "ttft_p95", "itl_p50", "itl_p95", "output_tok_s",
    "gpu_percent", "client_percent",
)  # fmt: skip


@dataclass(slots=True)
class Second:
    """What ended in one second."""

    ok: int = 0
    failed: int = 0
    tokens: int = 0
    ttft_ms: list[float] = field(default_factory=list)
    itl_ms: list[float] = field(default_factory=list)
    gpu: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Failures:
    """Failures of one kind: how many, the newest in words and when (s since the run began)."""

    n: int = 0
    last: str = ""
    at_s: float = 0.0


@dataclass(slots=True)
class Worker:
    """Which numbers of a worker's requests came: all up to `floor`, and some `above` it."""

    floor: int = -1
    above: set[int] = field(default_factory=set)

    def saw(self, numbers: list[int]) -> None:
        """Takes note of numbers that came."""
        self.above.update(numbers)
        self.floor = max(self.floor, max(self.above, default=0) - UNSEEN)
        while self.floor + 1 in self.above:
            self.floor += 1
        self.above = {number for number in self.above if number > self.floor}


class Follower:
    """Everything seen of one run so far. Its methods may be called from several threads."""

    def __init__(self, store: Any, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        self._lock = threading.Lock()
        self._looked_s = 0.0
        self._workers: dict[int, Worker] = defaultdict(Worker)
        self._seconds: dict[int, Second] = defaultdict(Second)
        self._reading_ns = -1
        self.latest: dict[tuple[str, str, str], tuple[float, float]] = {}
        self.failures: dict[str, Failures] = defaultdict(Failures)
        self.clock_s = 0.0
        self.ended = self.failed = 0
        self.cost_nano_usd, self.unpriced = 0, 0
        self.behind = False

    def look(self) -> None:
        """Reads what is new, at most twice a second however many ask."""
        with self._lock:
            if time.monotonic() - self._looked_s < READ_EVERY_S:
                return
            self._looked_s = time.monotonic()
            seen = {number: worker.floor for number, worker in self._workers.items()}
            news = self._store.request_log.news(self._run_id, seen, AT_MOST)
            self.behind = len(news.requests) >= AT_MOST
            self._take(news)
            self._take_readings(self._store.readings(self._run_id, self._reading_ns + 1))

    def bins(self, width_s: int, first_s: int) -> pd.DataFrame:
        """One row per `width_s` seconds from `first_s` on that will not change any more: `COLUMNS`."""
        with self._lock:
            last = int((self.clock_s - CLOSED_AFTER_S) // width_s) * width_s
            rows = [self._bin(start, width_s) for start in range(first_s, last, width_s)]
        return pd.DataFrame(rows, columns=list(COLUMNS), dtype=np.float64)

    def _bin(self, start: int, width_s: int) -> tuple[float, ...]:
        own = [self._seconds[at] for at in range(start, start + width_s) if at in self._seconds]
        ttft, itl = _joined(own, "ttft_ms"), _joined(own, "itl_ms")
        spans = [percentile(values, p) for values in (ttft, itl) for p in (0.5, 0.95)]
        gpu, client = _joined(own, "gpu"), _joined(own, "client")
        return (
            start + width_s / 2,
            sum(each.ok + each.failed for each in own) / width_s,
            sum(each.failed for each in own) / width_s,
            *(np.nan if value is None else value for value in spans),
            sum(each.tokens for each in own) / width_s,
            float(gpu.mean()) if gpu.size else np.nan,
            float(client.max()) if client.size else np.nan,
        )

    def _take(self, news: News) -> None:
        ends = np.cumsum(news.counts)
        rows: Any = news.requests.itertuples(index=False)
        for place, row in enumerate(rows):
            worker = self._workers[row.worker]
            if row.seq <= worker.floor or row.seq in worker.above:
                continue
            self._add(row, news.gaps_ms[ends[place] - news.counts[place] : ends[place]])
        for number, own in news.requests.groupby("worker"):
            self._workers[int(str(number))].saw([int(seq) for seq in own["seq"]])

    def _add(self, row: Any, gaps_ms: npt.NDArray[np.float64]) -> None:
        end_s = (row.planned_ns if pd.isna(row.done_ns) else row.done_ns) / NS_PER_S
        second = self._seconds[int(end_s)]
        self.clock_s = max(self.clock_s, end_s)
        self.ended += 1
        if pd.isna(row.cost_nano_usd):
            self.unpriced += 1
        else:
            self.cost_nano_usd += int(row.cost_nano_usd)
        if not pd.isna(row.error_kind):
            self._fail(row, second, end_s)
            return
        second.ok += 1
        second.tokens += 0 if pd.isna(row.output_tokens) else int(row.output_tokens)
        if not (pd.isna(row.first_token_ns) or pd.isna(row.sent_ns)) and len(second.ttft_ms) < KEPT_A_SECOND:
            second.ttft_ms.append((row.first_token_ns - row.sent_ns) / NS_PER_MS)
        room = KEPT_A_SECOND - len(second.itl_ms)
        if room > 0 and gaps_ms.size:
            second.itl_ms += gaps_ms[:: max(1, gaps_ms.size // 50)][:room].tolist()

    def _fail(self, row: Any, second: Second, end_s: float) -> None:
        self.failed += 1
        second.failed += 1
        group = self.failures[row.error_kind]
        group.n += 1
        if end_s >= group.at_s:
            group.last, group.at_s = "" if pd.isna(row.error_detail) else row.error_detail, end_s

    def _take_readings(self, readings: pd.DataFrame) -> None:
        for row in readings.to_dict("records"):
            at_s, value = float(row["at_ns"]) / NS_PER_S, float(row["value"])
            self._reading_ns = max(self._reading_ns, int(row["at_ns"]))
            self.clock_s = max(self.clock_s, at_s)
            self.latest[row["source"], row["device"], row["metric"]] = (at_s, value)
            if (row["source"], row["metric"]) == ("nvml", "utilisation_percent"):
                self._seconds[int(at_s)].gpu.append(value)
            if (row["source"], row["metric"]) == ("generator", "cpu_percent"):
                self._seconds[int(at_s)].client.append(value)

    def has(self, source: str) -> bool:
        """Whether anything was read of such a source."""
        return any(of == source for of, _, _ in list(self.latest))

    def newest(self, source: str, metric: str, within_s: float = 5.0) -> list[float]:
        """What each device said last, if it did so within the last seconds."""
        with self._lock:
            return [
                value
                for (of, _, name), (at_s, value) in self.latest.items()
                if (of, name) == (source, metric) and at_s >= self.clock_s - within_s
            ]


def _joined(seconds: list[Second], name: str) -> npt.NDArray[np.float64]:
    return np.array([value for each in seconds for value in getattr(each, name)], np.float64)
