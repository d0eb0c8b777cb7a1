"""A real `loadlab serve --engine sim` and the real command line, as a user has them."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LOADLAB = [sys.executable, "-m", "loadlab"]


@dataclass(frozen=True, slots=True)
class Sim:
    """A running simulated server."""

    url: str
    process: subprocess.Popen[str]

    def get(self, path: str) -> str:
        """The body of a page of the server."""
        with urllib.request.urlopen(self.url.removesuffix("/v1") + path) as response:
            return str(response.read().decode())


@contextmanager
def sim_server(*flags: str) -> Iterator[Sim]:
    """A simulated server for as long as the block lasts."""
    command = [*LOADLAB, "serve", "--engine", "sim", "--port", "0", "--json", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        document = ""
        for line in process.stdout:
            document += line
            if line.startswith("}"):
                break
        try:
            yield Sim(json.loads(document)["url"] + "/v1", process)
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def sim() -> Iterator[Sim]:
    """First token after 50 ms, then one every 10 ms."""
    with sim_server() as server:
        yield server


def loadlab(*arguments: str, cwd: Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs the command line to its end."""
    return subprocess.run(
        [*LOADLAB, *arguments], cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False
    )


def document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The JSON document a command printed."""
    assert done.stdout, done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def recorded(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether a run went through: VALID or, where the machine was too busy for its timing, INVALID."""
    return done.returncode in (0, 4)
