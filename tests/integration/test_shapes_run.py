"""Load of every shape, end to end against a server of known timing (50 ms, then a token every 10 ms)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from loadlab import store
from loadlab.core.units import NS_PER_S
from tests.integration.conftest import Sim, document, loadlab, recorded


def rows(folder: Path, *flags: str, sim: Sim) -> tuple[dict[str, Any], pd.DataFrame]:
    """The level's document and its requests by planned time, in seconds from the level's start."""
    done = loadlab("run", "--url", sim.url, "--max-tokens", "3", "--seed", "5", "--json", *flags, cwd=folder)
    assert recorded(done), done.stderr
    run = document(done)
    with store.open(f"sqlite:///{folder}/loadlab.db") as database:
        frame = database.requests(run["run"]["id"]).sort_values("planned_ns")
        start = database.levels(run["run"]["id"]).started_ns[0]
    frame["at_s"] = (frame.planned_ns - start) / NS_PER_S
    return run["levels"][0], frame


def test_a_profile(sim: Sim, tmp_path: Path) -> None:
    level, frame = rows(
        tmp_path, "chat", "--profile", "0s:10,1s:10,1s:40,2s:40", "--arrivals", "constant", sim=sim
    )
    assert level["requests"]["ok"] == 50
    assert (frame.at_s < 0.999).sum() == 10


def test_a_trace_brings_times_and_lengths(sim: Sim, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    trace.write_text(
        "".join(
            f'{{"timestamp": {100 * i}, "input_length": {10 + i}, "output_length": 2}}\n' for i in range(10)
        )
    )
    level, frame = rows(tmp_path, "chat", "--trace", str(trace), "--speed", "2", sim=sim)
    assert level["requests"]["ok"] == 10
    assert [round(at, 3) for at in frame.at_s] == [round(0.05 * i, 3) for i in range(10)]
    assert list(frame.prompt_tokens - frame.prompt_tokens.iloc[0]) == list(range(10))


def test_a_cap_makes_arrivals_wait_and_says_so(sim: Sim, tmp_path: Path) -> None:
    _, frame = rows(
        tmp_path,
        "chat",
        "--rate",
        "100",
        "--arrivals",
        "constant",
        "--requests",
        "20",
        "--max-in-flight",
        "2",
        sim=sim,
    )
    assert frame.error_kind.isna().all()
    starts, ends = frame.sent_ns.sort_values().to_numpy(), frame.done_ns.sort_values().to_numpy()
    in_flight = [sum(starts <= at) - sum(ends < at) for at in starts]
    assert max(in_flight) == 2
    assert (frame.queued_ns > 0.2 * NS_PER_S).sum() >= 10
    lag = frame.sent_ns - frame.planned_ns - frame.queued_ns - frame.connect_ns
    assert lag.max() < 0.1 * NS_PER_S


def test_users_that_start_one_after_the_other_and_think(sim: Sim, tmp_path: Path) -> None:
    _, frame = rows(
        tmp_path, "chat", "--users", "4", "--spread", "2s", "--think", "10s", "--duration", "2.5s", sim=sim
    )
    assert [round(at / 0.5, 1) for at in frame.at_s] == [0.0, 1.0, 2.0, 3.0]


SHAPED = """
from locust import LoadTestShape, task
from loadlab.drive import StreamUser

class Two(LoadTestShape):
    def tick(self):
        return (2, 2) if self.get_run_time() < 1 else (5, 5) if self.get_run_time() < 2.5 else None

class Chat(StreamUser):
    @task
    def ask(self):
        self.send(self.next_request())
"""


def test_the_scenarios_own_shape(sim: Sim, tmp_path: Path) -> None:
    (tmp_path / "shaped.py").write_text(SHAPED)
    level, frame = rows(tmp_path, "shaped.py", "--shape", "--processes", "2", sim=sim)
    assert level["requests"]["failed"] == 0
    early, late = frame[frame.at_s < 0.9], frame[(frame.at_s > 1.3) & (frame.at_s < 2.2)]
    assert len(late) / len(early) > 1.8
    assert set(frame.worker) == {0, 1}


def test_a_shape_that_is_not_there(sim: Sim, tmp_path: Path) -> None:
    done = loadlab("run", "chat", "--url", sim.url, "--shape", cwd=tmp_path)
    assert done.returncode == 2
    assert "has no LoadTestShape" in done.stderr
