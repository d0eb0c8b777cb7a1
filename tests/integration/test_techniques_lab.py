"""`loadlab techniques` end to end: a server of its own or a given one, ordinary runs, one page."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from server_process import serving

from loadlab.core.errors import TargetError, UnknownNameError
from loadlab.drive import lab
from loadlab.drive.bundled import bundled_server


def techniques(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    place = ["--out", str(folder / "page.md"), "--db", f"sqlite:///{folder}/x.db"]
    command = [sys.executable, "-m", "loadlab", "techniques", *words, *place]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=170)


def test_a_technique_is_measured_off_and_on_by_turns_and_written_down(tmp_path: Path) -> None:
    done = techniques(
        tmp_path, "prefix-cache", "cuda-graphs", "--server", "--hardware l4", "--pairs", "2", "--requests",
        "1", "--price", "l4-hour", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    order = [line.split()[1:3] for line in done.stderr.splitlines() if line.startswith("prefix-cache o")]
    assert order == [["off", "1/2:"], ["on", "1/2:"], ["on", "2/2:"], ["off", "2/2:"]]
    document: dict[str, Any] = json.loads(done.stdout)
    measured, left_out = document["techniques"]
    ttft = next(effect for effect in measured["effects"] if effect["metric"] == "ttft_ms.p50")
    assert ttft["ratio"] < 0.8  # 800 tokens of prompt less to compute
    assert ttft["pairs"] == 2
    assert {effect["metric"] for effect in measured["effects"]} == set(lab.METRICS)
    assert "it is for cuda" in left_out["skipped"]
    page = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "sim-llama-8b-l4 on simulated l4" in page
    assert "## Prefix cache" in page
    assert "## Not measured" in page


def test_a_running_server_is_switched_and_what_needs_a_restart_is_left_out(tmp_path: Path) -> None:
    with serving("--hardware", "h100", "--batching", "static") as server:
        words = ("batching", "int8", "--url", server.url, "--pairs", "1", "--requests", "1", "--json")
        done = techniques(tmp_path, *words)
        assert lab.settings_of(server.url)["batching"]["value"] == "static"  # as it was
    assert done.returncode == 0, done.stderr
    measured, left_out = json.loads(done.stdout)["techniques"]
    assert all(effect["low"] is None for effect in measured["effects"])
    assert "leave --url away" in left_out["skipped"]


def test_with_nothing_measured_there_is_no_data(tmp_path: Path) -> None:
    done = techniques(tmp_path, "compile", "--server", "--hardware h100")
    assert done.returncode == 5
    assert "not measured" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("prefix",), "did you mean 'prefix-cache'"),
        (("--pairs", "0"), "--pairs 0"),
        (("--url", "http://x", "--server", "--hardware h100"), "exclude each other"),
        (("ngram", "--server", "--hardware h9"), "hardware 'h9'"),
    ],
)
def test_mistakes_are_said_in_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    done = techniques(tmp_path, *words)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_techniques_that_need_a_restart_get_two_servers() -> None:
    (int8,) = lab.find(["int8"])
    with lab.sides(int8, None, ["--hardware", "h100"]) as (off, on):
        values = [lab.settings_of(side.url)["quant"]["value"] for side in (off, on)]
    assert values == ["bf16", "int8"]
    assert off.settings == on.settings == {}


def test_a_server_that_is_not_ours_is_refused() -> None:
    with pytest.raises(TargetError, match="loadlab serve"):
        lab.served("http://127.0.0.1:9")
    with pytest.raises(UnknownNameError):
        lab.find(["warp"])
    with pytest.raises(TargetError, match="fault"), bundled_server(["--hardware", "h100", "--fault", "x"]):
        pass
