"""A run that reads the GPUs of its server from an agent: real sockets, a fake of pynvml behind the agent."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from app_thread import served

from loadlab import collectors, store
from loadlab.collectors.agent import GpuAgent
from tests.integration.conftest import LOADLAB, document, loadlab, recorded, sim_server

sys.path.append(str(Path(__file__).resolve().parent.parent / "unit/collectors"))
from nvml_fake import FakeNvml

TOKEN = "only-for-friends"


def agent(library: FakeNvml) -> AbstractContextManager[str]:
    """An agent on a real port; gives its URL."""
    return served(GpuAgent(collectors.nvml(library), TOKEN).app())


def test_energy_per_token_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known power, known tokens per second: joules per token are one by the other."""
    monkeypatch.setenv("AGENT_TOKEN", TOKEN)
    with sim_server("--ttft", "50ms", "--itl", "10ms") as sim, agent(FakeNvml()) as url:
        done = loadlab(
            "run", "chat", "--url", sim.url, "--users", "4", "--duration", "4s", "--max-tokens", "50",
            "--gpu-url", url, "--gpu-token-env", "AGENT_TOKEN", "--db", "sqlite:///x.db", "--json",
            cwd=tmp_path,
        )  # fmt: skip
    assert recorded(done), done.stderr
    found = document(done)
    (level,) = found["levels"]
    hardware = level["hardware"]
    assert hardware["gpus"] == 2
    assert hardware["gpu_power_w"] == pytest.approx(2 * 412.345, rel=0.01)
    assert hardware["gpu_idle_power_w"] == pytest.approx(2 * 412.345, rel=0.01)
    expected = hardware["gpu_power_w"] / level["rates"]["output_tokens_per_s"]
    assert hardware["j_per_output_token"] == pytest.approx(expected, rel=0.001)
    assert hardware["kv_cache_max_percent"] > 0
    assert 3 < hardware["server_running"] <= 4
    assert any("GPU readings are moved to ours, to within" in note for note in found["notes"])
    stored = store.open(f"sqlite:///{tmp_path}/x.db")
    readings = stored.readings(found["run"]["id"])
    stored.close()
    power = readings[(readings["metric"] == "power_w")]
    assert set(power["source"]) == {"nvml"}
    # Ten a second of each GPU, the two seconds before the load included.
    assert len(power) / 2 > 40
    assert {"ahead_ms", "error_ms"} <= set(readings[readings["source"] == "clock"]["metric"])


def test_a_wrong_token_costs_the_readings_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENT_TOKEN", "guess")
    with sim_server() as sim, agent(FakeNvml()) as url:
        done = loadlab(
            "run", "chat", "--url", sim.url, "--requests", "3", "--max-tokens", "5", "--gpu-url", url,
            "--gpu-token-env", "AGENT_TOKEN", "--db", "sqlite:///x.db", "--json", cwd=tmp_path,
        )  # fmt: skip
    found = document(done)
    assert found["levels"][0]["hardware"]["energy_j"] is None
    assert [note for note in found["notes"] if "HTTP 401: the token is not accepted" in note]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--gpu-token-env", "NOT_SET_ANYWHERE"), "'NOT_SET_ANYWHERE' is not set or empty"),
        (("--gpus", "first"), "--gpus 'first' is not a list of GPU numbers"),
        (("--gpu-url", "gpu-box"), "--gpu-url 'gpu-box' is no address"),
    ],
)
def test_a_mistake_is_said_before_anything_is_sent(
    tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    with sim_server() as sim:
        done = loadlab("run", "chat", "--url", sim.url, "--requests", "1", *flags, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_the_agent_command_serves_says_what_is_absent_and_stops(tmp_path: Path) -> None:
    command = [*LOADLAB, "gpu", "agent", "--port", "0", "--json", "--gpus", "99"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        ready = ""
        for line in process.stdout:
            ready += line
            if line.startswith("}"):
                break
        try:
            found = json.loads(ready)
            assert "so there are no GPU readings" in found["absent"]
            with urllib.request.urlopen(f"{found['url']}/readings") as response:
                assert json.load(response) == {
                    "next": 0, "readings": [], "notes": [], "absent": found["absent"]
                }  # fmt: skip
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert "stopped." in process.stderr.read()


def test_the_agent_command_is_open_to_a_network_only_with_a_token(tmp_path: Path) -> None:
    done = loadlab("gpu", "agent", "--host", "0.0.0.0", cwd=tmp_path)
    assert done.returncode == 2
    assert "--token-env" in done.stderr
    assert "Traceback" not in done.stderr
