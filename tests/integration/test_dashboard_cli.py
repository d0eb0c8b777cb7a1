"""`loadlab dash` as a process: ready line, refusals, end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

DASH = [sys.executable, "-c", "from loadlab.cli import main; main()", "dash"]


def dash(*options: str, url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DASH, "--db", url, *options], capture_output=True, text=True, timeout=60)


def test_ready_line_then_pages_then_a_clean_end(sqlite_url: str, repository: Path) -> None:
    command = [*DASH, "--db", sqlite_url, "--host", "localhost", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["schema"] == 1
        with urllib.request.urlopen(f"{ready['url']}healthz", timeout=20) as response:
            assert response.status == 200
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest) == (0, "")
    assert said.startswith(f"dashboard: {ready['url']}")
    assert "Traceback" not in said


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.10", "example.com"])
def test_beyond_loopback_visitors_have_to_log_in(sqlite_url: str, host: str) -> None:
    done = dash("--host", host, url=sqlite_url)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: --host {host} is not a loopback address")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--token-env", "NOT_SET_ANYWHERE"], "'NOT_SET_ANYWHERE' is not set"),
        (["--token-env", "SHORT"], "has 5 characters"),
        (["--auth", "none", "--token-env", "LONG"], "--auth none lets everybody in"),
        (["--auth", "maybe"], "--auth 'maybe' is not known"),
        (["--proxy-user-header", "X-User"], "belong together"),
        (["--proxy-user-header", "X-User", "--trusted-proxy", "proxy"], "--trusted-proxy"),
        (["--operator", "ann"], "--operator names a user of a proxy"),
        (["--prefix", "loadlab"], "write it like /loadlab/"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.setenv("SHORT", "abcde")
    monkeypatch.setenv("LONG", "0123456789abcdef0")
    from typer.testing import CliRunner

    from loadlab.cli.app import app

    done = CliRunner().invoke(app, ["dash", "--db", sqlite_url, *options])
    assert said in f"{done.output}{done.exception}"
    assert "0123456789abcdef0" not in f"{done.output}{done.exception}"


def test_port_in_use_is_one_clear_line(sqlite_url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = dash("--port", str(port), url=sqlite_url)
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: port {port} of 127.0.0.1 is in use; choose another with --port, or 0 for any free one.\n"
    )
