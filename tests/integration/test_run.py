"""`loadlab run` end to end: real server, real Locust, real recorder, real database."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from loadlab import store
from tests.integration.conftest import LOADLAB, Sim, document, loadlab, recorded, sim_server

METRICS = ("ttft_ms", "itl_ms", "tpot_ms", "e2e_ms", "send_lag_ms")


def counter(page: str, name: str) -> float:
    """The sum of a counter over its labels."""
    return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:{{.*}})? (\S+)$", page, re.M))


def test_the_documented_command_and_its_document(sim: Sim, tmp_path: Path) -> None:
    before = sim.get("/metrics")
    done = loadlab(
        "run", "chat", "--url", sim.url, "--model", "sim", "--users", "8", "--requests", "24",
        "--max-tokens", "20", "--db", "sqlite:///x.db", "--seed", "1", "--json", cwd=tmp_path,
    )  # fmt: skip
    assert recorded(done), done.stderr
    run = document(done)
    assert run["schema"] == 1
    assert set(run["run"]) >= {"id", "verdict", "reasons"}
    (level,) = run["levels"]
    assert level["offered"]["users"] == 8
    assert {key: level["requests"][key] for key in ("sent", "ok", "failed", "errors")} == {
        "sent": 24, "ok": 24, "failed": 0, "errors": {},
    }  # fmt: skip
    for name in METRICS:
        assert set(level["metrics"][name]) == {"n", "mean", "p50", "p90", "p95", "p99", "max"}
    assert level["metrics"]["itl_ms"]["n"] == 24 * 19
    assert set(level["rates"]) >= {"requests_per_s", "output_tokens_per_s", "total_tokens_per_s"}
    assert level["cost"]["usd"] is None
    assert "unpriced" in level["cost"]["basis"]
    stored = store.open(f"sqlite:///{tmp_path}/x.db")
    rows = stored.requests(run["run"]["id"])
    stored.close()
    after = sim.get("/metrics")
    for name, total in (
        ("vllm:request_success_total", len(rows)),
        ("vllm:generation_tokens_total", rows.output_tokens.sum()),
        ("vllm:prompt_tokens_total", rows.prompt_tokens.sum()),
    ):
        assert counter(after, name) - counter(before, name) == total, name


def test_the_known_schedule_is_reported_within_a_millisecond(sim: Sim, tmp_path: Path) -> None:
    done = loadlab(
        "run",
        "chat",
        "--url",
        sim.url,
        "--users",
        "20",
        "--requests",
        "60",
        "--max-tokens",
        "50",
        "--json",
        cwd=tmp_path,
    )
    metrics = document(done)["levels"][0]["metrics"]
    assert abs(metrics["ttft_ms"]["p50"] - 50) < 1
    assert abs(metrics["itl_ms"]["p50"] - 10) < 1
    assert abs(metrics["tpot_ms"]["p50"] - 10) < 1


def test_an_open_loop_sends_its_schedule(sim: Sim, tmp_path: Path) -> None:
    done = loadlab(
        "run", "chat", "--url", sim.url, "--rate", "40", "--arrivals", "poisson", "--requests", "60",
        "--max-tokens", "5", "--prompt-tokens", "64", "--seed", "3", "--json", cwd=tmp_path,
    )  # fmt: skip
    level = document(done)["levels"][0]
    assert level["offered"]["rate"] == 40
    assert level["requests"]["ok"] == 60
    assert level["metrics"]["ttft_planned_ms"]["p50"] >= level["metrics"]["ttft_ms"]["p50"]


def test_two_processes_share_one_schedule(sim: Sim, tmp_path: Path) -> None:
    def planned(processes: str) -> list[int]:
        done = loadlab(
            "run", "chat", "--url", sim.url, "--rate", "50", "--requests", "41", "--max-tokens", "3",
            "--seed", "9", "--processes", processes,
            "--db", f"sqlite:///{processes}.db", "--json", cwd=tmp_path,
        )  # fmt: skip
        database = store.open(f"sqlite:///{tmp_path}/{processes}.db")
        run_id = document(done)["run"]["id"]
        rows, start = database.requests(run_id), int(database.levels(run_id).started_ns[0])
        database.close()
        assert set(rows.worker) == set(range(int(processes)))
        return sorted(int(value) - start for value in rows.planned_ns)

    assert planned("1") == planned("2")


def test_a_sweep_is_one_run_of_several_levels(sim: Sim, tmp_path: Path) -> None:
    done = loadlab(
        "sweep",
        "chat",
        "--url",
        sim.url,
        "--users",
        "1,3",
        "--requests",
        "6",
        "--max-tokens",
        "5",
        cwd=tmp_path,
    )
    assert recorded(done), done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 100
    assert "3 users" in done.stdout
    shown = loadlab("runs", "show", "latest", "--json", cwd=tmp_path)
    assert [level["offered"]["users"] for level in document(shown)["levels"]] == [1, 3]


def test_a_target_of_the_file_with_its_price(sim: Sim, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text(
        f'[targets.here]\nurl = "{sim.url}"\nmodel = "sim"\nprice = "3.60/h"\n'
    )
    done = loadlab(
        "run", "chat", "--target", "here", "--requests", "4", "--max-tokens", "10", "--json", cwd=tmp_path
    )
    cost = document(done)["levels"][0]["cost"]
    assert cost["usd"] > 0
    assert cost["usd_per_mtok_output"] == pytest.approx(cost["usd"] / 40 * 1e6)


def test_failures_are_rows_and_the_run_is_invalid(tmp_path: Path) -> None:
    with sim_server("--fail-rate", "1") as broken:
        done = loadlab(
            "run", "chat", "--url", broken.url, "--users", "2", "--requests", "10", "--json", cwd=tmp_path
        )
    run = document(done)
    assert done.returncode == 4
    assert run["run"]["verdict"] == "INVALID"
    assert run["levels"][0]["requests"]["errors"] == {"http_500": 10}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("run", "chat", "--url", "http://127.0.0.1:9/v1"), 3, "cannot be reached"),
        (("run", "chat", "--url", "SIM", "--model", "sin"), 3, "did you mean 'sim'"),
        (("run", "chta", "--url", "SIM"), 2, "did you mean 'chat'"),
        (("run", "chat", "--url", "SIM", "--users", "0"), 2, "--users 0"),
        (("run", "chat", "--url", "SIM", "--users", "2", "--rate", "2"), 2, "exclude each other"),
        (("run", "chat", "--url", "SIM", "--duration", "ten"), 2, "'ten'"),
        (("run", "chat"), 2, "--url"),
        (("run", "chat", "--target", "x"), 2, "'x'"),
        (("run", "chat", "--url", "SIM", "--api-key-env", "NO_SUCH_KEY"), 2, "NO_SUCH_KEY"),
        (("run", "chat", "--url", "SIM", "--db", "sqlite:////no/such/folder/x.db"), 2, "/no/such/folder"),
        (("run", "chat", "--url", "SIM", "--price", "cpu-huor"), 2, "did you mean"),
        (("run", "chat", "--url", "ftp://x"), 2, "ftp://x"),
        (("run", "chat", "--url", "http://127.0.0.1:99999/v1"), 2, "no usable port"),
        (("sweep", "chat", "--url", "SIM", "--users", "1,two"), 2, "'two' is no load"),
        (("runs", "show", "latest", "--db", "sqlite:///empty.db"), 5, "loadlab run"),
    ],
)
def test_bad_input_is_one_clear_line(
    sim: Sim, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = loadlab(*(sim.url if argument == "SIM" else argument for argument in arguments), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (code, "")
    errors = [line for line in done.stderr.splitlines() if not line.startswith("run ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith("error: ")
    assert words in errors[0]


def test_a_broken_scenario_says_where(sim: Sim, tmp_path: Path) -> None:
    scenario = tmp_path / "broken.py"
    scenario.write_text(
        "from locust import task\nfrom loadlab.drive import StreamUser\n\n"
        "class Broken(StreamUser):\n    @task\n    def ask(self):\n        raise ValueError('oh no')\n"
    )
    done = loadlab("run", str(scenario), "--url", sim.url, "--requests", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "oh no" in done.stderr
    assert "broken.py:7" in done.stderr
    assert "Traceback" not in done.stderr


class Going:
    """A long run in progress, watched from outside."""

    def __init__(self, sim: Sim, folder: Path) -> None:
        self.folder = folder
        command = [
            *LOADLAB,
            "run",
            "chat",
            "--url",
            sim.url,
            "--users",
            "4",
            "--duration",
            "60s",
            "--max-tokens",
            "20",
        ]
        self.process = subprocess.Popen(
            [*command, "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.wait_for(lambda rows: rows >= 12)

    def wait_for(self, enough: Callable[[int], bool]) -> None:
        """Waits until the store has enough requests."""
        deadline = time.monotonic() + 20
        while not ((self.folder / "loadlab.db").exists() and enough(len(self.rows()))):
            assert time.monotonic() < deadline
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.1)

    def rows(self) -> Any:
        database = store.open(f"sqlite:///{self.folder}/loadlab.db")
        try:
            runs = database.runs()
            return database.requests(runs.id[0]) if len(runs) else []
        finally:
            database.close()

    def state(self) -> str:
        database = store.open(f"sqlite:///{self.folder}/loadlab.db")
        try:
            return str(database.runs().state[0])
        finally:
            database.close()

    def child(self, module: str) -> psutil.Process:
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if module in " ".join(child.cmdline()))

    def end(self) -> tuple[int, dict[str, Any], str]:
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, json.loads(out) if out else {}, err


@pytest.fixture
def going(sim: Sim, tmp_path: Path) -> Any:
    run = Going(sim, tmp_path)
    yield run
    run.process.kill()
    run.process.communicate()


def test_one_ctrl_c_drains_and_saves(going: Going) -> None:
    going.process.send_signal(signal.SIGINT)
    code, run, _ = going.end()
    assert code == 130
    assert run["levels"][0]["requests"]["failed"] == 0
    assert len(going.rows()) == run["levels"][0]["requests"]["sent"] >= 12
    assert going.state() == "interrupted"


@pytest.mark.parametrize(
    "load", [("--users", "3"), ("--rate", "20", "--arrivals", "constant", "--requests", "3")]
)
def test_a_second_ctrl_c_cuts_and_saves(tmp_path: Path, load: tuple[str, ...]) -> None:
    with sim_server("--itl", "2s") as slow:
        command = [*LOADLAB, "run", "chat", "--url", slow.url, *load, "--duration", "60s", "--json"]
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stderr
        while "in flight" not in process.stderr.readline():
            pass
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        try:
            out, _ = process.communicate(timeout=15)
        finally:
            process.kill()
    assert process.returncode == 130
    assert json.loads(out)["levels"][0]["requests"]["errors"] == {"cancelled": 3}


@pytest.mark.parametrize("module", ["loadlab.drive.worker", "loadlab.recorder.process"])
def test_killing_a_child_loses_nothing_older_than_a_second(going: Going, module: str) -> None:
    time.sleep(1.0)
    seen = len(going.rows())
    going.child(module).kill()
    code, run, _ = going.end()
    assert code == 130
    rows = going.rows()
    assert len(rows) >= seen
    assert run["levels"][0]["requests"]["sent"] == len(rows)
    assert going.state() == "interrupted"


def test_killing_the_supervisor_ends_everything_and_saves(going: Going) -> None:
    children = psutil.Process(going.process.pid).children()
    seen = len(going.rows())
    os.kill(going.process.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(children, timeout=15)
    assert not alive
    assert len(gone) == 2
    assert len(going.rows()) >= seen
    assert going.state() == "interrupted"
