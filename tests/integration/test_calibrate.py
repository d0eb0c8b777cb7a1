"""`loadlab calibrate` from end to end: a tiny ladder, stored, and stated by the next run."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadlab import store
from tests.integration.conftest import LOADLAB, Sim, document, loadlab


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibrated")


@pytest.fixture(scope="module")
def calibration(folder: Path) -> dict[str, Any]:
    """Two levels, of answers of about a second each."""
    done = loadlab("calibrate", "--streams", "1,3", "--rates", "40", "--duration", "1s", "--json", cwd=folder)
    assert done.returncode in (0, 4), done.stderr
    return document(done)


def test_each_level_compares_the_same_requests(calibration: dict[str, Any]) -> None:
    one, three = calibration["levels"]
    assert (one["streams"], one["tokens_per_s"], one["processes"]) == (1, 40.0, 1)
    assert (three["requests"], three["tokens"]) == (3, 120)
    assert "this machine" in calibration["note"]
    for level in (one, three):
        # What a client adds is never less than nothing at the median, and far less than what is measured.
        assert 0 < level["ttft_p50_ms"] < 40
        assert abs(level["itl_p50_ms"]) < 5
        assert level["cpu_us_per_token"] > 0


def test_it_is_stored_with_its_runs(calibration: dict[str, Any], folder: Path) -> None:
    with store.open(f"sqlite:///{folder}/loadlab.db") as database:
        runs = database.runs()
        rows = database.calibration(database.run("latest").environment)
        readings = database.readings(database.run("latest").id)
    assert set(runs["label"]) == {"calibration 1 × 40 tok/s", "calibration 3 × 40 tok/s"}
    stored = [level for level in calibration["levels"] if level["stored"]]
    assert rows["streams"].tolist() == [level["streams"] for level in stored]
    assert rows["ttft_p99_ms"].tolist() == [level["ttft_p99_ms"] for level in stored]
    assert set(rows["run_id"]) <= set(runs["id"])
    assert {"backlog", "behind_ms"} <= set(readings[readings["source"] == "recorder"]["metric"])


def test_a_run_states_its_expected_error(calibration: dict[str, Any], folder: Path, sim: Sim) -> None:
    if not all(level["stored"] for level in calibration["levels"]):
        pytest.skip("this machine was too busy to calibrate: the simulated server was late")
    flags = ("--url", sim.url, "--requests", "4", "--max-tokens", "4", "--json")
    within, beyond = (
        document(loadlab("run", "chat", "--users", users, *flags, cwd=folder))["levels"][0]["accuracy"]
        for users in ("2", "4")
    )
    assert within["ttft_p50_ms"] == calibration["levels"][1]["ttft_p50_ms"]
    assert within["basis"].endswith("at 3 streams × 40 tok/s")
    assert beyond["ttft_p50_ms"] is None
    assert beyond["basis"] == "not calibrated beyond 3 streams; see loadlab calibrate --full"


def test_without_calibration_a_run_says_what_to_do(sim: Sim, tmp_path: Path) -> None:
    done = loadlab("run", "chat", "--url", sim.url, "--requests", "1", "--max-tokens", "2", cwd=tmp_path)
    assert "\naccuracy  not calibrated; run loadlab calibrate\n" in done.stdout


def test_a_server_that_cannot_keep_its_pace_is_not_stored(tmp_path: Path) -> None:
    done = loadlab(
        "calibrate", "--streams", "60", "--rates", "2000", "--duration", "0.1s", "--json", cwd=tmp_path
    )
    assert done.returncode == 4, done.stderr
    (level,) = document(done)["levels"]
    assert level["trouble"].startswith("the server itself was late")
    assert not level["stored"]
    with store.open(f"sqlite:///{tmp_path}/loadlab.db") as database:
        assert database.calibration(database.run("latest").environment).empty


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path) -> None:
    command = [*LOADLAB, "calibrate", "--streams", "2", "--rates", "20", "--duration", "30s"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "in flight" not in process.stderr.readline():
        pass
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 3
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "calibration stopped at 2 streams (stopped by the user); levels before are kept." in said
    assert psutil.wait_procs(children, timeout=5)[1] == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--streams", "1,x"), "'1,x' is not a list of numbers"),
        (("--streams", "0"), "--streams 0 is no load"),
        (("--rates", "-5"), "--rates -5 is no load"),
        (("--streams", "5", "--full"), "exclude each other"),
        (("--duration", "0s"), "--duration 0"),
        (("--processes", "0"), "--processes 0"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(flags: tuple[str, ...], words: str, tmp_path: Path) -> None:
    done = loadlab("calibrate", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "loadlab.db").exists()
