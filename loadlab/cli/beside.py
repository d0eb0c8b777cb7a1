"""`loadlab batch … --beside "chat --users 4"`: what a batch does to those who wait for an answer.

Two ordinary runs of the same load and seed, the first alone and the second while the batch is under way.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loadlab.cli.output import say
from loadlab.core.errors import MeasurementError, UsageError

if TYPE_CHECKING:
    from loadlab.analysis.compare import Comparison
    from loadlab.core.nouns import Run
    from loadlab.store import Store

MEASURES = (
    "ttft_ms.p50",
    "ttft_ms.p95",
    "ttft_ms.p99",
    "itl_ms.p50",
    "itl_ms.p99",
    "e2e_ms.p50",
    "requests_per_s",
)
_BELIEVED = (0, 4)  # exit codes of a run that was carried out: 4 says that its verdict is INVALID


class Load:
    """The interactive load beside a batch: `words` are a scenario and flags of `loadlab run`."""

    def __init__(self, words: str, batch: Run, flags: Sequence[str], place: str) -> None:
        try:
            self._words = shlex.split(words)
        except ValueError as error:
            raise UsageError(f"--beside {words!r} is not understood: {error}.") from error
        if not self._words or self._words[0].startswith("-"):
            raise UsageError(f"--beside {words!r} must begin with a scenario, as in 'chat --users 4'.")
        self._batch = batch.id
        self._flags = [
            *flags, "--model", batch.endpoint.model, "--seed", str(batch.seed), "--db", place, "--json",
        ]  # fmt: skip

    def measure(self, how: str) -> str:
        """One run; its id."""
        with self.running(how) as process:
            return self.end(process)

    @contextmanager
    def running(self, how: str) -> Iterator[subprocess.Popen[str]]:
        """One run under way; it is ended with the block."""
        say(f"the load beside the batch: {how}")
        label = f"batch {self._batch}: {how}"
        command = [sys.executable, "-m", "loadlab", "run", *self._words, *self._flags, "--label", label]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.terminate()

    def end(self, process: subprocess.Popen[str]) -> str:
        """Waits for its end and gives the run's id. Raises MeasurementError with its words."""
        out, told = process.communicate()
        if process.returncode not in _BELIEVED or not out:
            last = told.strip().splitlines()[-1:] or [f"exit {process.returncode}"]
            raise MeasurementError(f"the load beside the batch failed: {last[0]}")
        return str(json.loads(out)["run"]["id"])


def compared(database: Store, alone: str, beside: str) -> Comparison:
    """The two loads against each other."""
    from loadlab.analysis import compare as analysis
    from loadlab.analysis import measures

    chosen = tuple(measures.parse(name) for name in MEASURES)
    base, other = [measures.observe(database, alone, None)], [measures.observe(database, beside, None)]
    earlier = analysis.between_runs(database, base[0], chosen, [alone, beside])
    return analysis.compare(base, other, chosen, earlier, analysis.PRACTICAL, ())


def shared(database: Store, batch: str, beside: str) -> float | None:
    """The share of the load's time in which the batch was under way."""
    row, run = database.batches.of(batch), database.run(batch)
    other, requests = database.run(beside), database.requests(beside)
    if not row or row["handed_in_ns"] is None or row["over_ns"] is None or requests["done_ns"].isna().all():
        return None
    begun, over = (run.started_at_ns + row[name] for name in ("handed_in_ns", "over_ns"))
    start = other.started_at_ns + int(requests["planned_ns"].min())
    end = other.started_at_ns + int(requests["done_ns"].max())
    return max(0.0, min(over, end) - max(begun, start)) / (end - start) if end > start else None


def told(share: float | None) -> str:
    """How much of the load met the batch."""
    if share is None:
        return "how long the batch was under way beside the load is not known"
    words = f"the batch was under way for {share:.0%} of the second load"
    return words if share > 0.95 else f"{words}: hand in more requests, or make the load shorter"


def document(comparison: Comparison, alone: str, beside: str, share: float | None) -> dict[str, Any]:
    """The same as plain values."""
    from loadlab.reports import comparison as report

    return {
        "alone": alone,
        "with_batch": beside,
        "shared": share,
        "comparison": report.document([comparison]),
    }
