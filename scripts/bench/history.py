"""How fast history is: a thousand series cut, a run appended, a thousand stored runs read and judged.

`python scripts/bench/history.py`. Prints the rows of docs/performance.md.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

import numpy as np

from loadlab import history, store
from loadlab.analysis.percentiles import Sample
from loadlab.core.judged import JudgedLevel, Statistic
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.history import segments, thresholds

SERIES, POINTS, RUNS = 1000, 200, 1000
DAY_NS = 86_400 * 10**9


def made(seed: int) -> Sample:
    """A series with two steps."""
    logs = np.random.default_rng(seed).normal(0, 0.03, POINTS)
    logs[80:] += 0.1
    logs[150:] -= 0.05
    return logs


def cut(logs: Sample) -> list[segments.Cut]:
    """As `found` does it."""
    return segments.cuts(logs, thresholds.limit(logs))


def seconds(work: Callable[[], object]) -> float:
    """How long it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def appended() -> list[float]:
    """The seconds of each append from the 100th run on, of twenty series whose windows are known."""
    found = []
    for seed in range(20):
        logs, windows = made(seed), segments.Windows()
        limit = thresholds.limit(logs)
        segments.cuts(logs[:99], limit, windows=windows)
        for n in range(100, POINTS + 1):
            began = time.perf_counter()
            segments.cuts(logs[:n], limit, windows=windows)
            found.append(time.perf_counter() - began)
    return sorted(found)


def fill(database: store.Store) -> None:
    """A thousand runs with the numbers that history reads."""
    rng = np.random.default_rng(1)
    names = [measure.name for measure in history.MEASURES[:8]]
    for at in range(RUNS):
        run = Run(
            id=f"run-{at:04}", scenario=f"s{at % 5}", scenario_path="s.py",
            endpoint=Endpoint("http://127.0.0.1:1/v1", "m", name="t"), levels=(Level(0, users=8),), seed=at,
            timeout_s=60.0, clock_ns=0, started_at_ns=1_790_000_000 * 10**9 + at * DAY_NS,
            environment={"loadlab": "1"},
        )  # fmt: skip
        database.begin_run(run)
        database.begin_level(run.id, run.levels[0], 1)
        database.finish_run(run.id, "finished")
        values = 100 * np.exp(rng.normal(0, 0.03, len(names)))
        numbers = [
            Statistic(name, float(value), None, None, 100) for name, value in zip(names, values, strict=True)
        ]
        database.statistics.write(run.id, [JudgedLevel(0, "VALID", "here", numbers)])


def main() -> None:
    """Measures and prints."""
    whole = seconds(lambda: [cut(made(seed)) for seed in range(SERIES)])
    print(f"| {SERIES:,} series × {POINTS} runs cut | ≤ 60 s | {whole:.1f} s |")
    each = appended()
    p95 = 1000 * each[int(0.95 * len(each))]
    print(f"| a run appended to a series of 100 … {POINTS}, p95 | ≤ 20 ms | {p95:.1f} ms |")
    with tempfile.TemporaryDirectory() as folder, store.open(f"sqlite:///{folder}/h.db") as database:
        fill(database)
        read = seconds(lambda: history.of_store(database))
        print(f"| series of {RUNS:,} stored runs × 8 metrics read | about 1 s | {read:.2f} s |")
        looked = seconds(lambda: history.check(database))
        print(f"| the same read, cut and checked | | {looked:.2f} s |")


if __name__ == "__main__":
    main()
