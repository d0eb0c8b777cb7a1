"""Sweeps and searches end to end: real server, real Locust, real database, kill -9 in the middle."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from loadlab import analysis, store
from tests.integration.conftest import LOADLAB, Sim, document, loadlab, recorded, sim_server

PATIENCE_S = 170


def levels_of(path: Path, ref: str = "latest") -> Any:
    with store.open(f"sqlite:///{path}") as database:
        return analysis.summary_of(database, ref)


def test_repeats_go_round_and_count_once(sim: Sim, tmp_path: Path) -> None:
    done = loadlab(
        "sweep", "chat", "--url", sim.url, "--users", "1..2", "--repeat", "2", "--requests", "4",
        "--max-tokens", "3", "--db", "sqlite:///x.db", cwd=tmp_path, timeout_s=PATIENCE_S,
    )  # fmt: skip
    assert recorded(done), done.stderr
    assert "2 users #2" in done.stdout
    assert "1 user × 2: TTFT p95" in done.stdout
    found = levels_of(tmp_path / "x.db")
    assert [level.title for level in found.levels] == ["1 user #1", "2 users #1", "1 user #2", "2 users #2"]
    curve = analysis.curve(found)
    assert curve[["load", "repeat"]].to_numpy().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]


def test_a_sweep_killed_in_the_middle_goes_on_where_it_was(tmp_path: Path) -> None:
    with sim_server() as sim:
        given = [
            "sweep", "chat", "--url", sim.url, "--users", "1,2,3", "--requests", "40", "--max-tokens", "20",
            "--seed", "7", "--db", "sqlite:///x.db",
        ]  # fmt: skip
        with subprocess.Popen([*LOADLAB, *given], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as run:
            assert run.stderr
            for line in run.stderr:
                if line.startswith("level 2/3"):
                    break
            deadline = time.monotonic() + 30
            while not (_rows(tmp_path).level == 1).any():
                assert time.monotonic() < deadline
                time.sleep(0.1)
            run.kill()
        ended = _interrupted(tmp_path)
        done = [level.index for level in ended.levels if level.finished]
        assert done == [0]
        before = _rows(tmp_path)
        flags = ["--db", "sqlite:///x.db"]
        refused = loadlab("sweep", "--resume", "latest", "--users", "4", *flags, cwd=tmp_path)
        assert (refused.returncode, "drop --users" in refused.stderr) == (2, True)
        resumed = loadlab("sweep", "--resume", "latest", *flags, cwd=tmp_path, timeout_s=PATIENCE_S)
        assert recorded(resumed), resumed.stderr
        again = loadlab("sweep", "--resume", "latest", *flags, cwd=tmp_path)
        assert (again.returncode, "is finished" in again.stderr) == (2, True)
    found = levels_of(tmp_path / "x.db")
    assert found.run["state"] == "finished"
    assert [(level.label, level.requests["sent"]) for level in found.levels] == [
        ("1 user", 40), ("2 users", 40), ("3 users", 40),
    ]  # fmt: skip
    after = _rows(tmp_path)
    assert before.set_index(["worker", "seq"]).index.isin(after.set_index(["worker", "seq"]).index).all()
    cut = after[(after.level == 1) & after.warmup.astype(bool)]
    assert len(cut) == (before.level == 1).sum() > 0
    # The same prompts: the whole of each level is asked as in a sweep that was never interrupted.
    assert after[(after.level == 1) & ~after.warmup.astype(bool)].seq.min() > cut.seq.max()


def _interrupted(folder: Path) -> Any:
    """The summary of the run once its silence is noticed."""
    deadline = time.monotonic() + 30
    while (found := levels_of(folder / "x.db")).run["state"] != "interrupted":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert found.run["verdict"] != "VALID"
    return found


def _rows(folder: Path) -> Any:
    with store.open(f"sqlite:///{folder}/x.db") as database:
        return database.requests(database.run("latest").id)


def test_another_server_is_another_sweep(sim: Sim, tmp_path: Path) -> None:
    """A run cut by Ctrl-C, resumed where something else answers."""
    done = loadlab(
        "run", "chat", "--url", sim.url, "--users", "1,2", "--requests", "3", "--max-tokens", "3", "--db",
        "sqlite:///x.db", cwd=tmp_path, timeout_s=PATIENCE_S,
    )  # fmt: skip
    assert recorded(done), done.stderr
    with store.open(f"sqlite:///{tmp_path}/x.db") as database:
        database.finish_run(database.run("latest").id, "interrupted")
    elsewhere = ["--url", "http://127.0.0.1:9/v1", "--db", "sqlite:///x.db"]
    done = loadlab("sweep", "--resume", "latest", *elsewhere, cwd=tmp_path)
    assert done.returncode == 2
    assert "another target is another sweep" in done.stderr
    done = loadlab(
        "sweep", "--resume", "latest", "--db", "sqlite:///x.db", cwd=tmp_path, timeout_s=PATIENCE_S
    )
    assert (done.returncode, "nothing to resume" in done.stderr) == (2, True)


@pytest.mark.slow  # two minutes: what is certain takes half a minute, and what was sent is waited for
@pytest.mark.timeout(400)
def test_a_rate_that_is_not_kept_up_with_ends_early_and_higher_ones_are_skipped(tmp_path: Path) -> None:
    """Two places of 500 ms each: 4 requests per second at most."""
    with sim_server("--max-num-seqs", "2", "--ttft", "400ms", "--itl", "10ms") as sim:
        done = loadlab(
            "sweep", "chat", "--url", sim.url, "--rate", "8,16", "--duration", "90s", "--max-tokens", "11",
            "--seed", "3", "--timeout", "200s", "--db", "sqlite:///x.db", "--json",
            cwd=tmp_path, timeout_s=380,
        )  # fmt: skip
    assert recorded(done), done.stderr
    found = document(done)
    (level,) = found["levels"]
    assert level["ended"].startswith("over capacity")
    assert any("ended early" in reason for reason in level["reasons"])
    assert level["requests"]["sent"] < 8 * 80
    assert any(note.startswith("skipped 16 req/s") for note in found["notes"])
    assert analysis.curve(levels_of(tmp_path / "x.db"))["unstable"].tolist() == [True]


@pytest.mark.timeout(400)
def test_a_search_finds_the_most_users_of_a_server_of_known_pace(tmp_path: Path) -> None:
    """10 ms between tokens and 2 ms more for every other stream: 9 users have 26 ms, 10 have 28."""
    with sim_server("--itl", "10ms", "--itl-per-stream", "2ms") as sim:
        done = loadlab(
            "search", "chat", "--url", sim.url, "--slo", "itl_ms.p50 <= 27ms", "--by", "users", "--duration",
            "3s", "--warmup", "1s", "--max-tokens", "20", "--from", "4", "--db", "sqlite:///x.db", "--json",
            cwd=tmp_path, timeout_s=380,
        )  # fmt: skip
    found = document(done)["search"]
    if found["outcome"] == "INVALID":  # the machine was too busy: so it says, and does not guess
        assert done.returncode == 4
        return
    assert (done.returncode, found["outcome"]) == (0, "FOUND")
    assert (found["load"], found["holds"], found["breaks"]) == (9, 9, 10)
    assert levels_of(tmp_path / "x.db").spec.fresh_prompts
    assert f"--seed {levels_of(tmp_path / 'x.db').spec.seed}" in found["again"]


def test_a_slo_that_not_even_one_request_keeps_is_exit_code_1(sim: Sim, tmp_path: Path) -> None:
    done = loadlab(
        "search", "chat", "--url", sim.url, "--slo", "ttft_ms.p95 <= 20ms", "--duration", "3s",
        "--warmup", "0s", "--max-tokens", "3", cwd=tmp_path, timeout_s=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("none")
    assert "even one request at a time misses it: ttft_ms.p95 <= 20ms" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "chat"), "under which SLO?"),
        (("search", "chat", "--slo", "caht"), "did you mean 'chat'?"),
        (("search", "chat", "--slo", "output_tokens_per_s >= 100"), "counts requests beyond a limit"),
        (("search", "chat", "--slo", "chat", "--by", "rps"), "load (--by) 'rps' is not known"),
        (("sweep", "--auto"), "name a scenario"),
        (("sweep", "chat", "--auto", "--users", "4"), "drop --users"),
        (("sweep", "chat", "--auto", "--budget", "20s"), "say little"),
        (("sweep", "chat", "--budget", "20s"), "--budget goes with --auto"),
        (("sweep", "chat", "--users", "8..1"), "write 1..8"),
    ],
)
def test_what_cannot_be_swept_is_one_clear_line(
    sim: Sim, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = loadlab(*words, "--url", sim.url, cwd=tmp_path)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_fresh_prompts_find_no_cache(tmp_path: Path) -> None:
    """Simulated hardware has a real prefix cache: without, 40 repeats of 8 prompts find it."""
    (tmp_path / "again.py").write_text(
        "from locust import task\n"
        "from loadlab.drive import StreamUser\n"
        "from loadlab.workloads import Repeats\n"
        "class Asker(StreamUser):\n"
        "    workload = Repeats(questions=4, prompt_tokens=200, max_tokens=4)\n"
        "    @task\n"
        "    def ask(self):\n"
        "        self.send(self.next_request())\n"
    )
    shares = {}
    with sim_server("--hardware", "h100") as sim:
        for flag in ("--no-fresh-prompts", "--fresh-prompts"):
            done = loadlab(
                "run", "again.py", "--url", sim.url, "--users", "2", "--requests", "40", "--seed", "1", flag,
                "--db", f"sqlite:///{flag[2:]}.db", cwd=tmp_path, timeout_s=PATIENCE_S,
            )  # fmt: skip
            assert recorded(done), done.stderr
            with store.open(f"sqlite:///{tmp_path}/{flag[2:]}.db") as database:
                rows = database.requests(database.run("latest").id)
            shares[flag] = rows.cached_tokens.sum() / rows.prompt_tokens.sum()
            assert ("prompts recurred" in done.stdout) == (flag == "--no-fresh-prompts")
    assert shares["--no-fresh-prompts"] > 0.5
    assert shares["--fresh-prompts"] < 0.2
