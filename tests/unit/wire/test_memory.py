"""A thousand streams at once stay small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.conftest import sim_server


@pytest.mark.slow
def test_a_stream_of_a_hundred_tokens_takes_less_than_fifty_kilobytes() -> None:
    """The load worker may take 60 kB per stream, its users and what waits for the recorder included."""
    with sim_server("--ttft", "500ms", "--itl", "20ms") as server:
        program = Path(__file__).with_name("streams.py")
        done = subprocess.run(
            [sys.executable, program, server.url, "1000"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert 20_000 < int(done.stdout) < 50_000
