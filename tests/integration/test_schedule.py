"""The scheduler as it is used: real processes, killed ones among them, on a real database."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.integration.conftest import LOADLAB, Sim, document, loadlab, recorded

NOWHERE = "run chat --url http://127.0.0.1:9/v1"
WITHIN_S = 200  # on a machine that does much else

pytestmark = pytest.mark.timeout(600)


def write(folder: Path, **jobs: str) -> Path:
    tables = [f"[schedule.{name}]\n{text}\n" for name, text in jobs.items()]
    (folder / "loadlab.toml").write_text("\n".join(tables), encoding="utf-8")
    return folder


@contextmanager
def scheduler(folder: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """A running `loadlab schedule run`; what it leaves running is ended with it."""
    with (folder / "said").open("a") as said:
        process = subprocess.Popen(
            [*LOADLAB, "schedule", "run", *flags], cwd=folder, stdout=subprocess.PIPE, stderr=said, text=True
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=WITHIN_S)


def log(folder: Path) -> list[dict[str, Any]]:
    """The log, oldest first; read as any other program would."""
    path = folder / "loadlab.db"
    if not path.exists():
        return []
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in database.execute("SELECT * FROM schedule_log ORDER BY id")]
        except sqlite3.OperationalError:  # not there yet
            return []


def until(folder: Path, seen: Callable[[list[dict[str, Any]]], Any]) -> list[dict[str, Any]]:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if seen(rows := log(folder)):
            return rows
        time.sleep(0.2)
    raise AssertionError(f"not within {WITHIN_S} s: {log(folder)}\n{(folder / 'said').read_text()}")


def states(rows: list[dict[str, Any]]) -> list[str]:
    return [row["state"] for row in rows]


def plan(folder: Path, ago_s: dict[str, float]) -> None:
    """The database of a scheduler that last lived before these times of its jobs."""
    assert loadlab("db", "migrate", cwd=folder).returncode == 0
    for name, seconds in ago_s.items():
        rule = "every 1h UTC"
        with sqlite3.connect(folder / "loadlab.db") as database:
            row = (f"main/{name}", time.time() - seconds, rule.encode())
            database.execute("INSERT INTO schedule_job VALUES (?, ?, ?)", row)


def test_missed_times_are_made_up_for_once_or_skipped(tmp_path: Path) -> None:
    hourly = f'every = "1h"\ncommand = "{NOWHERE}"\n'
    write(tmp_path, once=hourly, skip=f'{hourly}missed = "skip"', late=f'{hourly}grace = "10m"')
    plan(tmp_path, dict.fromkeys(("once", "skip", "late"), 5.5 * 3600))
    with scheduler(tmp_path, "--json") as running:
        rows = until(tmp_path, lambda rows: sorted(states(rows)) == ["ended", "missed", "missed"])
        running.send_signal(signal.SIGTERM)
        out, _ = running.communicate(timeout=WITHIN_S)
    assert running.returncode == 0
    by_job = {row["job"]: row for row in rows}
    once = by_job["once"]
    assert (once["cause"], once["exit_code"], once["attempt"]) == ("missed", 3, 1)
    # Full hours between half past five hours ago and now, and the time planned itself: by the minute.
    missed = re.match(r"[67] planned times missed", once["reason"])
    assert missed, once["reason"]
    assert "127.0.0.1:9" in once["told"]
    assert by_job["skip"]["reason"].endswith("UTC) and not made up for")
    assert {row["job"]: row["exit_code"] for row in json.loads(out)["log"]} == {
        "once": 3,
        "skip": None,
        "late": None,
    }
    listed = document(loadlab("schedule", "list", "--json", cwd=tmp_path))["jobs"]
    assert {job["name"]: job["last"]["state"] for job in listed}["once"] == "ended"
    assert [job["targets"] for job in listed] == [["http://127.0.0.1:9/v1"]] * 3
    shown = loadlab("schedule", "log", "--job", "once", cwd=tmp_path).stdout
    assert f"once  ended with exit code 3\n    {missed[0]}" in shown


def test_a_killed_scheduler_takes_no_measurement_with_it(tmp_path: Path, sim: Sim) -> None:
    """The command goes on; the next scheduler sees it end, and a hand-started job waits for its target."""
    measure = f"run chat --url {sim.url} --users 1 --duration 8s --max-tokens 2"
    write(tmp_path, a=f'every = "1h"\ncommand = "{measure}"', b=f'every = "1h"\ncommand = "{measure}"')
    plan(tmp_path, {"a": 10, "b": -9999})
    with scheduler(tmp_path) as first:
        (row,) = until(tmp_path, lambda rows: states(rows) == ["running"])
        first.kill()
    assert psutil.pid_exists(row["child_pid"])
    with scheduler(tmp_path), scheduler(tmp_path):  # two of them: still only one has each time
        by_hand = subprocess.Popen(
            [*LOADLAB, "schedule", "trigger", "b"], cwd=tmp_path, stderr=subprocess.PIPE
        )
        until(tmp_path, lambda rows: len(rows) == 2 and rows[0]["state"] == "ended")
        by_hand.communicate(timeout=WITHIN_S)
    a, b = log(tmp_path)
    assert recorded(by_hand)  # type: ignore[arg-type]
    assert (a["exit_code"], a["reason"]) == (
        None, "its scheduler was killed; the command ended without it, how is not known",
    )  # fmt: skip
    assert (b["cause"], b["state"]) == ("hand", "ended")
    runs = {run["id"]: run for run in document(loadlab("runs", "list", "--json", cwd=tmp_path))["runs"]}
    assert runs.keys() == {a["run_id"], b["run_id"]}
    assert runs[a["run_id"]]["state"] == "finished"
    assert runs[b["run_id"]]["started_at"] >= runs[a["run_id"]]["finished_at"]  # never both at once


def test_what_died_with_its_scheduler_is_done_again_once(tmp_path: Path) -> None:
    write(tmp_path, a=f'every = "1h"\ncommand = "{NOWHERE}"')
    plan(tmp_path, {"a": -9999})
    row = {
        "job_group": "main", "job": "a", "planned_at_ns": 5, "attempt": 1, "cause": "time",
        "state": "running", "reason": "", "command": "[]", "host": "elsewhere",
        "pid": 1, "child_pid": 1, "booked_at_ns": 5,
        "seen_at_ns": 5, "started_at_ns": 5, "told": "",
    }  # fmt: skip
    with sqlite3.connect(tmp_path / "loadlab.db") as database:
        names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
        database.execute(f"INSERT INTO schedule_log ({names}) VALUES ({places})", row)
    with scheduler(tmp_path):
        rows = until(tmp_path, lambda rows: states(rows) == ["lost", "ended"])
    assert (rows[1]["cause"], rows[1]["attempt"], rows[1]["planned_at_ns"]) == ("again", 2, 5)
    assert rows[0]["reason"] == "its scheduler was killed"


def test_ctrl_c_ends_the_command_and_keeps_its_data(tmp_path: Path, sim: Sim) -> None:
    measure = f"run chat --url {sim.url} --users 1 --duration 60s --max-tokens 2"
    write(tmp_path, a=f'every = "1h"\ncommand = "{measure}"')
    plan(tmp_path, {"a": 10})
    with scheduler(tmp_path) as running:
        until(tmp_path, lambda _: started_level(tmp_path))
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=WITHIN_S)
    assert running.returncode == 130
    (row,) = log(tmp_path)
    assert (row["state"], row["exit_code"], row["reason"]) == ("stopped", 130, "the scheduler was stopped")
    (run,) = document(loadlab("runs", "list", "--json", cwd=tmp_path))["runs"]
    assert (run["id"], run["state"]) == (row["run_id"], "interrupted")
    assert run["requests"] > 0


def started_level(folder: Path) -> bool:
    with sqlite3.connect(folder / "loadlab.db") as database:
        return bool(database.execute("SELECT 1 FROM request LIMIT 1").fetchone())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('every = "1h"\ncommand = "run chat --userz 3"', "No such option: --userz"),
        ('every = "1h"\ncommand = "serve"', "must begin with one of"),
    ],
)
def test_a_slip_is_said_before_anything_runs(tmp_path: Path, text: str, words: str) -> None:
    done = loadlab("schedule", "run", cwd=write(tmp_path, a=text))
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "loadlab.db").exists()


def test_an_unknown_job_is_named(tmp_path: Path) -> None:
    write(tmp_path, nightly=f'every = "1h"\ncommand = "{NOWHERE}"')
    done = loadlab("schedule", "trigger", "nigthly", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean 'nightly'" in done.stderr
    assert len(document(loadlab("schedule", "next", "-n", "3", "--json", cwd=tmp_path))["next"]) == 3
    assert loadlab("schedule", "log", cwd=tmp_path).returncode == 5
