"""The bundled scenario under plain Locust, as a Locust user runs it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import Sim, loadlab, recorded, sim_server

LOCUST = [sys.executable, "-m", "locust", "-f"]


@pytest.fixture
def scenario(repository: Path, tmp_path: Path) -> Path:
    """A user's own copy of the bundled scenario."""
    return Path(shutil.copy(repository / "scenarios" / "chat.py", tmp_path / "mine.py"))


def headless(scenario: Path, host: str, *flags: str) -> tuple[int, dict[str, dict[str, str]], str]:
    """Exit code, statistics by row type, and the log."""
    done = subprocess.run(
        [*LOCUST, str(scenario), "--host", host, "--headless", "-u", "3", "-r", "3", "-t", "2s",
         "--csv", "out", *flags],
        cwd=scenario.parent, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    with (scenario.parent / "out_stats.csv").open() as file:
        return done.returncode, {row["Type"]: row for row in csv.DictReader(file)}, done.stderr


def test_token_metrics_are_rows_beside_the_request(sim: Sim, scenario: Path) -> None:
    code, rows, log = headless(scenario, sim.url, "--max-tokens", "10")
    assert code == 0, log
    assert {"POST", "TTFT", "ITL", "tok/s"} <= set(rows)
    assert int(rows["POST"]["Request Count"]) == int(rows["TTFT"]["Request Count"]) > 5
    assert 50 <= float(rows["TTFT"]["Median Response Time"]) < 70
    assert 9 <= float(rows["ITL"]["Average Response Time"]) < 13


def test_failures_carry_their_kind(scenario: Path) -> None:
    with sim_server("--fail-rate", "1") as broken:
        code, rows, _ = headless(scenario, broken.url)
    assert code == 1
    assert rows["POST"]["Request Count"] == rows["POST"]["Failure Count"]
    with (scenario.parent / "out_failures.csv").open() as file:
        assert "http_500" in next(csv.DictReader(file))["Error"]


def test_an_unreachable_host_ends_it_in_words(scenario: Path, free_port: int) -> None:
    code, _, log = headless(scenario, f"http://127.0.0.1:{free_port}/v1")
    assert code == 3
    assert "cannot be reached" in log


def test_a_copy_runs_by_its_path_under_loadlab(sim: Sim, scenario: Path) -> None:
    done = loadlab(
        "run", "mine.py", "--url", sim.url, "--requests", "2", "--max-tokens", "3", cwd=scenario.parent
    )
    assert recorded(done), done.stderr


@contextmanager
def web(scenario: Path, port: int, host: str) -> Iterator[str]:
    command = [*LOCUST, str(scenario), "--host", host, "--web-host", "127.0.0.1", "--web-port", str(port)]
    with subprocess.Popen(
        [*command, "--max-tokens", "5"], cwd=scenario.parent, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def ask(url: str, **form: Any) -> Any:
    """The JSON of a page, tried until the web server is up."""
    data = urllib.parse.urlencode(form).encode() if form else None
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, data) as response:
                return json.load(response)
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"{url} never answered")


def test_the_web_page_drives_it(sim: Sim, scenario: Path, free_port: int) -> None:
    with web(scenario, free_port, sim.url) as page:
        assert ask(f"{page}/swarm", user_count=2, spawn_rate=2, host=sim.url)["success"]
        deadline = time.monotonic() + 20
        rows: set[str] = set()
        while "TTFT" not in rows:
            assert time.monotonic() < deadline
            time.sleep(0.2)
            rows = {row["method"] for row in ask(f"{page}/stats/requests")["stats"]}
        assert {"POST", "ITL", "tok/s"} <= rows
