"""Batches as runs: handed in over real sockets, looked after, matched by custom id, resumed after kill -9."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from loadlab import store
from tests.integration.app_thread import served
from tests.integration.batch_vendor import BatchVendor
from tests.integration.conftest import LOADLAB, Sim, document, loadlab, recorded

FLAGS = ("--poll", "0.2s", "--db", "sqlite:///x.db", "--json")


def batch(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return loadlab("batch", *flags, *FLAGS, cwd=folder, timeout_s=170)


def rows(folder: Path, run_id: str) -> pd.DataFrame:
    with store.open(f"sqlite:///{folder}/x.db") as database:
        return database.requests(run_id).set_index("seq").sort_index()


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-completions", "anthropic"])
def test_a_batch_of_each_shape(dialect: str, sim: Sim, tmp_path: Path) -> None:
    done = batch(
        tmp_path, "chat", "--url", sim.url, "--dialect", dialect, "--requests", "40", "--max-tokens", "5",
        "--price", "openai/gpt-5-mini",
    )  # fmt: skip
    found = document(done)
    assert done.returncode == 0, done.stderr
    told = found["batch"]
    assert (told["requests"], told["answered"]) == (40, 40)
    assert told["language"] == dialect.partition("-")[0]
    assert 0 < told["turnaround_s"] < 60
    assert told["saved_share"] == pytest.approx(0.5)
    assert told["cost_usd"] == pytest.approx(told["interactive_usd"] / 2)
    kept = rows(tmp_path, found["run"]["id"])
    assert list(kept.index) == list(range(40))
    assert (kept.output_tokens <= 5).all()
    assert kept.first_token_ns.isna().all()
    assert kept.error_kind.isna().all()
    assert list((kept.done_ns - kept.sent_ns) / 1e9) == pytest.approx([told["turnaround_s"]] * 40)


def test_what_failed_is_a_row_and_every_answer_is_its_own_requests(tmp_path: Path) -> None:
    vendor = BatchVendor(busy=2, refused=(1,), expired=(2, 3), lost=(4,))
    with served(vendor.app()) as url:
        done = batch(tmp_path, "chat", "--url", f"{url}/v1", "--requests", "20", "--max-tokens", "7",
                     "--price", "openai/gpt-5-mini", "--discount", "25%")  # fmt: skip
    found = document(done)
    assert found["levels"][0]["requests"]["errors"] == {"http_400": 1, "batch_expired": 2, "batch_missing": 1}
    assert (found["batch"]["answered"], found["batch"]["counts"]["failed"]) == (16, 3)
    kept = rows(tmp_path, found["run"]["id"])
    answered = kept[kept.error_kind.isna()]
    assert (answered.output_tokens == 100 + answered.index).all()  # whatever the order of the results
    assert kept.error_detail[1] == "max_tokens is too large"
    assert (kept.max_tokens == 7).all()
    assert vendor.lines[5]["body"]["max_tokens"] == 7
    assert "stream" not in vendor.lines[5]["body"] or vendor.lines[5]["body"]["stream"] is False
    # 1,000 prompt tokens at 0.25 and 105 output tokens at 2 USD per million, less a quarter
    assert kept.cost_nano_usd[5] == round((1000 * 250 + 105 * 2000) * 0.75)
    assert (kept.cost_nano_usd[[1, 2, 3]] == 0).all()
    assert pd.isna(kept.cost_nano_usd[4])
    assert found["batch"]["cost_usd"] is None  # of one request nothing is known


def begun(folder: Path, process: subprocess.Popen[str], vendor: BatchVendor) -> str:
    """The id of the run once its batch was looked at."""
    until = time.monotonic() + 120
    while vendor.looks < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)
    with store.open(f"sqlite:///{folder}/x.db") as database:
        return str(database.run("latest").id)


@pytest.mark.parametrize("lost_id", [False, True])
def test_a_killed_batch_is_resumed(lost_id: bool, tmp_path: Path) -> None:
    vendor = BatchVendor(held=True)
    with served(vendor.app()) as url:
        command = [*LOADLAB, "batch", "chat", "--url", f"{url}/v1", "--requests", "12", *FLAGS]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:  # fmt: skip
            run_id = begun(tmp_path, process, vendor)
            process.kill()
        if lost_id:  # as if killed between handing in and writing down
            with store.open(f"sqlite:///{tmp_path}/x.db") as database:
                database.batches.update(run_id, batch_id=None, handed_in_ns=None)
        vendor.held = False
        found = document(batch(tmp_path, "--resume", run_id))
        again = document(batch(tmp_path, "--resume", run_id[:18]))
    assert (found["run"]["id"], found["run"]["state"]) == (run_id, "finished")
    assert found["batch"]["answered"] == 12
    assert list(rows(tmp_path, run_id).output_tokens) == list(range(100, 112))
    assert again["batch"] == found["batch"]


def test_a_batch_is_detached_and_cancelled(tmp_path: Path) -> None:
    vendor = BatchVendor(held=True, expired=(0,))
    with served(vendor.app()) as url:
        done = batch(tmp_path, "chat", "--url", f"{url}/v1", "--requests", "3", "--detach")
        assert (done.returncode, done.stdout) == (0, "")
        assert "loadlab batch --resume" in done.stderr
        found = document(batch(tmp_path, "--cancel", "latest"))
    assert (found["batch"]["word"], found["batch"]["answered"]) == ("completed", 2)


def test_waiting_ends_and_can_go_on(tmp_path: Path) -> None:
    vendor = BatchVendor(held=True)
    with served(vendor.app()) as url:
        done = batch(tmp_path, "chat", "--url", f"{url}/v1", "--requests", "3", "--give-up", "0.5s")
    assert done.returncode == 130
    assert "loadlab batch --resume" in done.stderr.splitlines()[-1]


BAD: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no batches there": (("chat", "--url", "SIM", "--dialect", "ollama", "--model", "m"), 2,
                         "no batches of ollama"),
    "nothing asked": ((), 2, "give a SCENARIO to hand in"),
    "no requests": (("chat", "--url", "SIM", "--requests", "0"), 2, "is no batch"),
    "no such discount": (("chat", "--url", "SIM", "--discount", "150%"), 2, "150%"),
    "no such load": (("chat", "--url", "SIM", "--beside", "--users 4"), 2, "must begin with a scenario"),
    "too dear": (("chat", "--url", "SIM", "--price", "openai/gpt-5-mini", "--max-cost", "0.0001"), 2,
                 "a batch cannot be stopped at a cost"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_handed_in_is_said_in_one_line(case: str, sim: Sim, tmp_path: Path) -> None:
    flags, code, words = BAD[case]
    done = batch(tmp_path, *(flag.replace("SIM", sim.url) for flag in flags))
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr.splitlines()[-1]


def test_a_run_that_was_no_batch_cannot_be_resumed(sim: Sim, tmp_path: Path) -> None:
    run = loadlab("run", "chat", "--url", sim.url, "--requests", "2", "--db", "sqlite:///x.db", cwd=tmp_path)
    assert recorded(run), run.stderr
    done = batch(tmp_path, "--resume", "latest")
    assert (done.returncode, done.stdout) == (5, "")
    assert "is no batch" in done.stderr


def test_what_a_batch_does_to_an_interactive_load_is_shown(sim: Sim, tmp_path: Path) -> None:
    done = batch(tmp_path, "chat", "--url", sim.url, "--requests", "400", "--max-tokens", "60", "--beside",
                 "chat --users 2 --duration 3s --max-tokens 20")  # fmt: skip
    assert recorded(done), done.stderr
    found: dict[str, Any] = document(done)
    beside = found["beside"]
    assert found["batch"]["answered"] == 400
    assert 0 < beside["shared"] <= 1
    with store.open(f"sqlite:///{tmp_path}/x.db") as database:
        labels = [database.run(beside[side]).spec.label for side in ("alone", "with_batch")]
        seeds = {database.run(beside[side]).spec.seed for side in ("alone", "with_batch")}
    assert labels == [f"batch {found['run']['id']}: {how}" for how in ("alone", "beside the batch")]
    assert len(seeds) == 1
    assert beside["comparison"]
