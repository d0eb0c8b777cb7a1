"""The bundled server as a child process, for as long as a block lasts."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from loadlab.core.errors import TargetError

_STOP_WITHIN_S = 15
_TOLD_LINES = 5


@dataclass(frozen=True, slots=True)
class Bundled:
    """A running `loadlab serve`: its base URL, and what it serves on what."""

    url: str
    model: str
    device: str
    pid: int


@contextmanager
def bundled_server(flags: Sequence[str]) -> Iterator[Bundled]:
    """`loadlab serve` with `flags` on a free port of loopback. Raises TargetError with its own words."""
    command = [sys.executable, "-m", "loadlab", "serve", "--port", "0", "--json", *flags]
    # Its own group: the terminal's Ctrl-C must not end the server under the run that it ends.
    with (
        tempfile.TemporaryFile("w+") as words,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=words, text=True, process_group=0
        ) as process,
    ):
        try:
            yield _ready(process, words)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _ready(process: subprocess.Popen[str], words: IO[str]) -> Bundled:
    assert process.stdout
    document = ""
    for line in process.stdout:
        document += line
        if line.startswith("}"):
            ready: dict[str, Any] = json.loads(document)
            return Bundled(ready["url"], ready["model"], ready["device"], ready["pid"])
    words.seek(0)
    told = "\n".join(words.read().splitlines()[-_TOLD_LINES:])
    raise TargetError(f"the bundled server did not start; it said:\n{told or '(nothing)'}")
