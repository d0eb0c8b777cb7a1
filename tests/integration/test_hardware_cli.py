"""`loadlab hardware`: what can be simulated, and a device fitted on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from server_process import serving

from loadlab.server import presets


def hardware(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadlab", "hardware", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=170, cwd=cwd)


def test_every_device_and_model_is_listed_with_its_basis() -> None:
    done = hardware("list", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["hardware"]
    assert {(each["hardware"], each["model"]) for each in found} == {
        (device, model) for device in presets.devices() for model in presets.models()
    }
    assert {each["basis"] for each in found} <= set(presets.BASES)
    too_large = [each for each in found if each["kv_tokens"] is None]
    assert ("h100", "llama-70b") in {(each["hardware"], each["model"]) for each in too_large}
    shown = hardware("list").stdout
    assert "does not fit" in shown
    assert "assumed" in shown


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.skipif(find_spec("torch") is None, reason="needs the server extra")
def test_this_machine_is_fitted_and_can_then_be_served(tmp_path: Path) -> None:
    done = hardware("fit", "--repeats", "1", "--name", "here", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["held_back"]["n"] >= 10
    assert found["held_back"]["worst"] >= found["held_back"]["median"] > 0  # how small: the machine decides
    assert found["device"]["losses"]["basis"] == "calibrated"
    with serving("--hardware", str(tmp_path / "hardware.toml"), "--simulates", "smollm2-135m") as server:
        assert server.model == "sim-smollm2-135m-here"
        assert server.ready["device"] == "simulated here (measured, losses calibrated)"


def test_unknown_names_are_refused_before_anything_is_timed() -> None:
    done = hardware("fit", "--like", "h300")
    assert done.returncode == 2
    assert "did you mean" in done.stderr
