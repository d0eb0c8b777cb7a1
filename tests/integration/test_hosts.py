"""Load from several processes and several hosts, some of which are lost on the way. All real, on loopback."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadlab import store
from tests.integration.conftest import LOADLAB, Sim


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command in progress, ended with the block."""
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [*LOADLAB, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], timeout_s: float = 40) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON document and stderr of a command."""
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, json.loads(out) if out else {}, err


def children(process: subprocess.Popen[str], module: str) -> list[psutil.Process]:
    """The processes of one kind that a command started."""
    found = psutil.Process(process.pid).children()
    return [child for child in found if module in " ".join(child.cmdline())]


def newest(url: str) -> Any:
    """The newest run of a store: its state, notes, levels and requests."""
    with store.open(url) as database:
        run = database.run("latest")
        return run, database.levels(run.id), database.requests(run.id)


def served(sim: Sim) -> int:
    """How many requests the server has answered, as it counts itself."""
    found = re.findall(r"^vllm:request_success_total(?:{.*})? (\S+)$", sim.get("/metrics"), re.M)
    return int(sum(map(float, found)))


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Waits for something to become true while a command goes on."""
    deadline = time.monotonic() + 30
    while not true():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


def recorded(url: str, path: Path | None = None) -> int:
    """How many requests the newest run of a store has; 0 before there is one."""
    if path and not path.exists():
        return 0
    with store.open(url) as database:
        runs = database.runs()
        return int(runs.n_requests[0]) if len(runs) else 0


def test_the_run_goes_on_without_a_lost_load_worker(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with started(
        tmp_path, "sweep", "chat", "--url", sim.url, "--users", "4,4", "--duration", "3s", "--processes", "2",
        "--max-tokens", "10", "--db", url, "--json",
    ) as command:  # fmt: skip
        wait_until(lambda: recorded(url, tmp_path / "x.db") >= 12, command)
        children(command, "loadlab.drive.worker")[1].kill()
        code, document, err = ended(command)
    assert code == 0, err
    assert document["run"]["verdict"] == "SUSPECT"
    assert "lost during the run: load worker 1 (signal 9), limit 0" in document["run"]["reasons"]
    run, levels, rows = newest(url)
    assert run.state == "finished"
    assert levels.finished_ns.notna().all()
    first, second = rows[rows.level == 0], rows[rows.level == 1]
    assert {0, 1} == set(first.worker)
    # The other worker carries all four users of the next level: at about 145 ms each, 4 × 20 requests.
    assert set(second.worker) == {0}
    assert len(second) > 60


def test_a_run_without_any_load_worker_is_interrupted(sim: Sim, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    with started(
        tmp_path, "run", "chat", "--url", sim.url, "--users", "4", "--duration", "30s", "--processes", "2",
        "--max-tokens", "10", "--db", url, "--json",
    ) as command:  # fmt: skip
        wait_until(lambda: recorded(url, tmp_path / "x.db") >= 12, command)
        for worker in children(command, "loadlab.drive.worker"):
            worker.kill()
        code, document, _ = ended(command)
    assert code == 130
    run, _, rows = newest(url)
    assert run.state == "interrupted"
    assert "nobody was left to send requests" in run.notes
    assert document["levels"][0]["requests"]["sent"] == len(rows) >= 12


def test_locusts_own_master_and_workers_show_token_metrics(
    sim: Sim, tmp_path: Path, repository: Path, free_port: int
) -> None:
    scenario = repository / "scenarios" / "chat.py"
    locust = [sys.executable, "-m", "locust", "-f", str(scenario)]
    before = served(sim)
    workers = [
        subprocess.Popen(
            [*locust, "--worker", "--master-port", str(free_port)], cwd=tmp_path, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    try:
        done = subprocess.run(
            [*locust, "--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(free_port),
             "--host", sim.url, "--headless", "--expect-workers", "2", "-u", "4", "-r", "4", "-t", "3s",
             "--max-tokens", "10", "--csv", "out", "--stop-timeout", "2"],
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        logs = [worker.communicate(timeout=20)[1] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert done.returncode == 0, (done.stderr, logs)
    with (tmp_path / "out_stats.csv").open() as file:
        rows = {row["Type"]: row for row in csv.DictReader(file)}
    assert {"POST", "TTFT", "ITL", "tok/s"} <= set(rows)
    assert int(rows["POST"]["Request Count"]) == served(sim) - before > 20
    assert 50 <= float(rows["TTFT"]["Median Response Time"]) < 70
    assert 'All users spawned: {"Chat": 4}' in done.stderr
