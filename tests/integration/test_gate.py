"""Gates and comparisons from end to end: real servers, real runs, real exit codes."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.conftest import LOADLAB, Sim, document, loadlab, recorded, sim_server

SERVE = f"{sys.executable} -m loadlab serve --engine sim --port {{port}} --jitter 0.1"
LOAD = 'scenario = "chat"\nusers = 4\nrequests = 80\nmax_tokens = 6\n'
RULES = 'regress = ["ttft_ms.p50", "tpot_ms.p50"]\n'


def write(folder: Path, text: str) -> Path:
    (folder / "loadlab.toml").write_text(text, encoding="utf-8")
    return folder


def side_by_side(folder: Path, slower: str = "") -> Path:
    commands = f'base_command = "{SERVE}"\ncandidate_command = "{SERVE}{slower}"\n'
    return write(folder, f'[gate]\n{commands}{LOAD}{RULES}slo = ["chat"]\npairs = 4\n')


def checks(done: Any) -> dict[str, Any]:
    return {check["rule"]: check for check in document(done)["checks"]}


def busy(done: Any) -> bool:
    """Whether the machine was too busy to judge; then it must say so and not FAIL or PASS."""
    return done.returncode == 4 and bool(document(done)["invalid"])


def test_a_server_slowed_by_ten_percent_fails(tmp_path: Path) -> None:
    folder = side_by_side(tmp_path, " --ttft 56ms --itl 11.2ms")
    done = loadlab("gate", "run", "--json", "--report", "junit=gate.xml", cwd=folder, timeout_s=170)
    if busy(done):
        pytest.skip("this machine was too busy: a run was INVALID")
    assert done.returncode == 1, done.stderr
    found = checks(done)
    assert found["ttft_ms.p50"]["outcome"] == "FAIL"
    assert found["tpot_ms.p50"]["outcome"] == "FAIL"
    assert found["chat"]["outcome"] == "PASS"
    assert document(done)["gate"]["reproduce"] == "loadlab gate run --seed 1"
    assert 'failures="2"' in (folder / "gate.xml").read_text()


def test_the_same_server_passes_and_is_promoted(tmp_path: Path) -> None:
    folder = side_by_side(tmp_path)
    done = loadlab("gate", "run", "--json", cwd=folder, timeout_s=170)
    if busy(done):
        pytest.skip("this machine was too busy: a run was INVALID")
    assert done.returncode == 0, done.stdout + done.stderr
    seen = document(done)
    assert (len(seen["base"]), len(seen["candidate"])) == (4, 4)
    assert loadlab("gate", "baseline", "promote", "main", cwd=folder).returncode == 0
    listed = document(loadlab("gate", "baseline", "list", "--json", cwd=folder))["baselines"]
    assert [each["run"] for each in listed] == seen["candidate"]
    again = loadlab("gate", "check", *seen["base"], "--baseline", "main", "--json", cwd=folder)
    assert again.returncode == 0, again.stdout
    one = loadlab("gate", "check", seen["candidate"][0], "--baseline", "main", "--json", cwd=folder)
    assert one.returncode == 4
    assert "is on both sides" in one.stdout
    plan = loadlab("gate", "plan", "--find", "8%", "--json", cwd=folder)
    assert document(plan)["now"]["pairs"] == 4


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, sim: Sim) -> Path:
    """Two runs of one model, and one of which every request failed."""
    folder = tmp_path_factory.mktemp("stored")
    flags = ("--url", sim.url, "--users", "2", "--requests", "40", "--max-tokens", "4")
    for label in ("one", "two"):
        assert loadlab("run", "chat", *flags, "--label", label, cwd=folder).returncode in (0, 4)
    short = ("--url", sim.url, "--users", "1", "--requests", "3", "--max-tokens", "4", "--label")
    assert loadlab("run", "chat", *short, "few", cwd=folder).returncode in (0, 4)
    assert loadlab("run", "chat", *short, "broken", "--timeout", "20ms", cwd=folder).returncode == 4
    return folder


def ids(folder: Path) -> dict[str, str]:
    runs = document(loadlab("runs", "list", "--json", cwd=folder))["runs"]
    return {run["label"]: run["id"] for run in runs}


def test_no_baseline(stored: Path) -> None:
    write(stored, f'[gate]\n{LOAD}{RULES}baseline = "main"\ntarget = "http://127.0.0.1:9/v1"\n')
    done = loadlab("gate", "run", cwd=stored)
    assert done.returncode == 5
    assert "baseline 'main' is not set" in done.stderr
    assert "`loadlab gate baseline set main RUN`" in done.stderr


def test_nothing_to_compare_with(stored: Path) -> None:
    write(stored, f'[gate]\n{LOAD}{RULES}target = "http://127.0.0.1:9/v1"\n')
    done = loadlab("gate", "run", cwd=stored)
    assert done.returncode == 2
    assert "regress needs something to compare with" in done.stderr


def test_one_run_on_each_side(stored: Path) -> None:
    write(stored, f"[gate]\n{LOAD}{RULES}")
    runs = ids(stored)
    done = loadlab("gate", "check", runs["two"], "--base", runs["one"], "--json", cwd=stored)
    assert done.returncode == 4
    assert "how much runs differ is unknown" in done.stdout or document(done)["invalid"]


def test_three_requests_for_a_p99(stored: Path) -> None:
    write(stored, '[gate]\nslo = ["ttft_ms.p99 <= 2s"]\n')
    done = loadlab("gate", "check", ids(stored)["few"], "--json", cwd=stored)
    assert done.returncode == 4
    assert checks(done)["ttft_ms.p99 <= 2s"]["words"].endswith(
        "0 of 3 beyond the limit; about 299 requests would show it"
    )


def test_all_failed(stored: Path) -> None:
    write(stored, '[gate]\nslo = ["ttft_ms.p50 <= 2s"]\n')
    done = loadlab("gate", "check", ids(stored)["broken"], cwd=stored)
    assert done.returncode == 4
    assert "no request succeeded: 0 of 3" in done.stdout
    write(stored, '[gate]\nslo = ["error_rate <= 0%"]\n')
    assert loadlab("gate", "check", ids(stored)["broken"], cwd=stored).returncode == 1


def test_an_empty_window(tmp_path: Path, sim: Sim) -> None:
    load = 'scenario = "chat"\nusers = 1\nrequests = 2\nwarmup = "50s"\nmax_tokens = 2\n'
    write(tmp_path, f'[gate]\n{load}target = "{sim.url}"\nslo = ["ttft_ms.p50 <= 2s", "error_rate < 50%"]\n')
    done = loadlab("gate", "run", cwd=tmp_path, timeout_s=170)
    assert done.returncode == 4, done.stderr
    said = " ".join(done.stdout.split())
    assert said.startswith("INVALID")
    assert "nothing was measured: no value to judge" in said


def test_a_baseline_of_another_model(stored: Path) -> None:
    with sim_server("--model", "sim-large") as other:
        flags = (
            "--url",
            other.url,
            "--users",
            "2",
            "--requests",
            "40",
            "--max-tokens",
            "4",
            "--label",
            "large",
        )
        assert recorded(loadlab("run", "chat", *flags, cwd=stored))
    runs = ids(stored)
    write(stored, f"[gate]\n{LOAD}{RULES}")
    done = loadlab("gate", "check", runs["two"], "--base", runs["large"], "--json", cwd=stored)
    assert done.returncode == 4
    assert "base and candidate are not comparable: model: sim-large → sim" in document(done)["invalid"]


@pytest.mark.timeout(400)
def test_a_cancelled_gate_leaves_nothing_behind(tmp_path: Path) -> None:
    """CI systems cancel by SIGTERM: its run and the servers that it started end with it, data is kept."""
    folder = side_by_side(tmp_path)
    write(folder, (folder / "loadlab.toml").read_text().replace("requests = 80", "requests = 9999"))
    with subprocess.Popen(
        [*LOADLAB, "gate", "run"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        deadline = time.monotonic() + 200
        while not sent(folder) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert sent(folder)
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        _, said = process.communicate(timeout=150)
    assert process.returncode == 130, said
    assert "error: the gate was stopped; the runs before are kept." in said
    assert len(below) >= 4
    assert psutil.wait_procs(below, timeout=20)[1] == []
    (run,) = document(loadlab("runs", "list", "--json", cwd=folder))["runs"]
    assert (run["state"], run["requests"] > 0) == ("interrupted", True)


def sent(folder: Path) -> bool:
    """Whether a request is stored."""
    if not (folder / "loadlab.db").exists():
        return False
    with sqlite3.connect(folder / "loadlab.db") as database:
        try:
            return bool(database.execute("SELECT 1 FROM request LIMIT 1").fetchone())
        except sqlite3.OperationalError:  # not there yet
            return False


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["all the time", "during the candidate's runs"])
def test_a_busy_machine_fails_no_build(tmp_path: Path, when: str) -> None:
    """Twice as many spinning processes as cores, on a server against itself.

    The second is the hard one: only the candidate's times are worse, and that is the machine's doing.
    """
    folder = side_by_side(tmp_path)
    text = (folder / "loadlab.toml").read_text()
    write(folder, text.replace("requests = 80", "requests = 40").replace("pairs = 4", "pairs = 3"))
    order = ["base", "candidate", "candidate", "base", "base", "candidate"]
    hogs, told = list[subprocess.Popen[bytes]](), list[str]()
    command = [*LOADLAB, "gate", "run", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=folder, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            disturb(hogs, when == "all the time" or order[0] == "candidate")
            assert process.stderr
            for line in process.stderr:
                told += [line] if re.match(r"gate-\S+ (base|candidate) \d+: ", line) else []
                if when != "all the time" and len(told) < len(order):
                    disturb(hogs, order[len(told)] == "candidate")
            out, _ = process.communicate()
        finally:
            disturb(hogs, False)
    found = json.loads(out)
    assert found["gate"]["outcome"] != "FAIL", (found["invalid"], found["checks"])
    assert process.returncode in (0, 4)
    if when != "all the time":
        assert found["gate"]["outcome"] in ("INVALID", "INCONCLUSIVE")


def disturb(hogs: list[subprocess.Popen[bytes]], wanted: bool) -> None:
    """Starts or ends processes that do nothing, as fast as they can."""
    while not wanted and hogs:
        hogs[-1].kill()
        hogs.pop().wait()
    if wanted and not hogs:
        spin = [sys.executable, "-c", "while True: pass"]
        hogs += [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]


def test_another_load_is_not_compared(stored: Path) -> None:
    runs = ids(stored)
    done = loadlab("compare", runs["one"], runs["few"], cwd=stored)
    assert done.returncode == 4
    assert "the runs are not comparable: load: 2 users → 1 user" in " ".join(done.stdout.split())


def test_a_comparison_needs_two(stored: Path) -> None:
    done = loadlab("compare", "latest", cwd=stored)
    assert done.returncode == 2
    assert "nothing to be compared with" in done.stderr


def test_a_comparison_of_labels(stored: Path) -> None:
    done = loadlab("compare", "label:one", "label:two", "--json", cwd=stored)
    (found,) = document(done)["comparisons"]
    if found["refused"]:
        pytest.skip(f"this machine was too busy: {found['refused']}")
    assert {row["metric"] for row in found["metrics"]} > {"ttft_ms.p50", "output_tokens_per_s"}
    assert loadlab("compare", "label:one", "label:none", cwd=stored).returncode == 5


def test_a_run_that_breaks_a_rule_is_ended(tmp_path: Path, sim: Sim) -> None:
    rule = '{rule = "ttft_ms.p50 <= 10ms", abort_on_fail = true}'
    load = 'scenario = "chat"\nusers = 4\nduration = "60s"\nmax_tokens = 4\n'
    write(tmp_path, f'[gate]\n{load}target = "{sim.url}"\nslo = [{rule}]\n')
    done = loadlab("gate", "run", "--json", cwd=tmp_path)
    assert done.returncode in (1, 4), done.stderr
    found = document(done)
    assert "ended early: 'ttft_ms.p50 <= 10ms' is broken" in found["notes"]
    assert found["checks"][0]["outcome"] == "FAIL"


def test_an_open_answer_is_extended_with_a_server_for_each_run(tmp_path: Path) -> None:
    commands = f'base_command = "{SERVE}"\ncandidate_command = "{SERVE}"\ntogether = false\n'
    load = 'scenario = "chat"\nusers = 2\nrequests = 20\nmax_tokens = 4\npairs = 1\n'
    write(tmp_path, f'[gate]\n{commands}{load}regress = ["tpot_ms.p50"]\non_inconclusive = "extend:1"\n')
    done = loadlab("gate", "run", "--json", cwd=tmp_path, timeout_s=120)
    if busy(done):
        pytest.skip("this machine was too busy: a run was INVALID")
    assert "inconclusive: 2 more of each (1 of 1)" in done.stderr
    assert len(document(done)["candidate"]) == 3
    assert checks(done)["tpot_ms.p50"]["outcome"] in ("PASS", "INCONCLUSIVE")


def test_a_server_against_itself_is_counted(tmp_path: Path) -> None:
    load = 'scenario = "chat"\nusers = 2\nrequests = 30\nmax_tokens = 4\npairs = 2\n'
    write(tmp_path, f'[gate]\n{load}regress = ["tpot_ms.p50"]\n')
    done = loadlab("gate", "calibrate", "--gates", "1", "--json", cwd=tmp_path, timeout_s=120)
    assert done.returncode == 0, done.stderr
    found = document(done)
    assert found["gates"] == 1
    if found["rules"]:  # else the machine was too busy, and the gate INVALID
        assert [(rule["rule"], rule["n"]) for rule in found["rules"]] == [("tpot_ms.p50", 1)]
    assert loadlab("gate", "baseline", "promote", "main", cwd=tmp_path).returncode == 5


def test_a_server_that_does_not_start(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'print(3+4); exit(9)' {{port}}"
    write(tmp_path, f'[gate]\n{LOAD}slo = ["chat"]\ncandidate_command = "{command}"\n')
    done = loadlab("gate", "run", cwd=tmp_path)
    assert done.returncode == 3
    assert "ended with 9; it said: 7" in done.stderr


def test_a_slip_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    write(tmp_path, '[gate]\nslo = ["tfft_ms.p50 < 3"]\n')
    done = loadlab("gate", "run", cwd=tmp_path)
    assert (done.returncode, json.dumps(done.stdout)) == (2, '""')
    assert "did you mean 'ttft_ms'" in done.stderr
    assert not (tmp_path / "loadlab.db").exists()
