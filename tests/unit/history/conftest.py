"""A store whose runs have the numbers that a test wants; nothing is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loadlab import store
from loadlab.core.judged import JudgedLevel, Statistic
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.store import Store

DAY_NS = 86_400 * 10**9
START_NS = 1_790_000_000 * 10**9
Record = Callable[..., str]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Store]:
    """An open, empty store."""
    with store.open(f"sqlite:///{tmp_path}/runs.db") as opened:
        yield opened


@pytest.fixture
def record(opened: Store) -> Record:
    """Stores the run of day `day` with these numbers; the commit is c<day>, environment and spec as given."""

    def record(day: int, numbers: dict[str, float], *, verdict: Any = "VALID", **changes: Any) -> str:
        environment = {"loadlab": "1", "cpus": 2, "commit": f"c{day}", **changes.pop("environment", {})}
        run = Run(
            **{
                "id": f"run-{day:03}",
                "scenario": "chat",
                "scenario_path": "scenarios/chat.py",
                "endpoint": Endpoint("http://127.0.0.1:1/v1", "tiny", name="lab"),
                "levels": (Level(0, users=8, requests=100),),
                "seed": day,
                "timeout_s": 60.0,
                "clock_ns": 0,
                "started_at_ns": START_NS + day * DAY_NS,
                "environment": environment,
                **changes,
            }
        )
        opened.begin_run(run)
        opened.begin_level(run.id, run.levels[0], 1)
        opened.finish_run(run.id, "finished")
        statistics = [Statistic(name, value, None, None, 100) for name, value in numbers.items()]
        opened.statistics.write(run.id, [JudgedLevel(0, verdict, "2 × H100", statistics)])
        return run.id

    return record


@pytest.fixture
def nightly(record: Record) -> Callable[..., list[str]]:
    """Runs from day `first` on, `factor` times as slow as usual, with a scatter of 2 %."""

    def nightly(first: int, runs: int, factor: float = 1.0, **changes: Any) -> list[str]:
        rng = np.random.default_rng(first)
        return [
            record(
                day,
                {
                    "ttft_ms.p50": 100 * factor * float(np.exp(rng.normal(0, 0.02))),
                    "itl_ms.p50": 10 * factor * float(np.exp(rng.normal(0, 0.02))),
                    "output_tokens_per_s": 900 / factor * float(np.exp(rng.normal(0, 0.02))),
                },
                **changes,
            )
            for day in range(first, first + runs)
        ]

    return nightly
