"""From runs to an incident on the real path: a simulated server that becomes 20 % slower."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Sim, document, loadlab, sim_server

LOAD = ("--target", "lab", "--users", "4", "--requests", "60", "--max-tokens", "6")
BEFORE = 9


def port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def valid(folder: Path, commit: str) -> bool:
    done = loadlab("run", "chat", *LOAD, "--commit", commit, "--json", cwd=folder, timeout_s=120)
    assert done.returncode in (0, 4), done.stderr
    return bool(document(done)["run"]["verdict"] == "VALID")


def some(folder: Path, server: Sim, commits: list[str], wanted: int) -> None:
    """Runs until there are so many VALID ones; on a busy machine some are not."""
    done = sum(valid(folder, commit) for commit in commits)
    if done < wanted:
        pytest.skip(f"this machine was too busy: {done} of {len(commits)} runs were VALID")


@pytest.mark.slow  # fourteen runs: a minute where nothing else runs
@pytest.mark.timeout(900)
def test_a_slower_server_becomes_an_incident_and_the_same_one_does_not(tmp_path: Path) -> None:
    at = port()
    (tmp_path / "loadlab.toml").write_text(f'[targets.lab]\nurl = "http://127.0.0.1:{at}/v1"\n')
    with sim_server("--port", at, "--jitter", "0.05") as server:
        some(tmp_path, server, [f"good{number}" for number in range(BEFORE)], 8)
    quiet = loadlab("history", "check", "--json", cwd=tmp_path)
    assert quiet.returncode in (0, 4), quiet.stdout + quiet.stderr
    assert document(quiet)["check"]["opened"] == []
    with sim_server("--port", at, "--jitter", "0.05", "--ttft", "60ms", "--itl", "12ms") as server:
        some(tmp_path, server, ["bad0"], 1)
        checked = loadlab("history", "check", "--rerun", "--json", cwd=tmp_path, timeout_s=400)
    found: dict[str, Any] = document(checked)["check"]
    runs = document(loadlab("runs", "list", "--json", cwd=tmp_path))["runs"]
    again = [run for run in runs if run["id"] > found_bad(runs)]
    if sum(run["verdict"] == "VALID" for run in again) < 2:
        pytest.skip("this machine was too busy: the repetitions were not VALID")
    assert checked.returncode == 1, checked.stdout + checked.stderr
    assert len(again) == 3
    (incident,) = found["opened"]
    evidence = incident["evidence"]
    assert evidence["first_bad_commit"] == "bad0"
    assert evidence["last_good_commit"].startswith("good")
    assert {"itl_ms.p50", "tpot_ms.p50"} <= set(incident["metrics"])
    assert all(1.1 < each["ratio"] < 1.35 for each in evidence["series"] if each["metric"] == "itl_ms.p50")
    assert loadlab("history", "check", cwd=tmp_path).returncode in (0, 4)


def found_bad(runs: list[dict[str, Any]]) -> str:
    """The first of the slow runs: the newest but the repetitions."""
    return sorted(run["id"] for run in runs)[BEFORE]
