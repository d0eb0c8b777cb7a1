"""The life of an engine process as its parent sees it: started, and started again with growing pauses."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Protocol

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S
from loadlab.server import engine
from loadlab.server.engine import Options

_END_GRACE_S = 2.0
_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # before each attempt in a row
_SOUND_S = 60.0  # an engine that lived so long was not broken from the beginning


class Line(Protocol):
    """A way to reach an engine process."""

    async def open(self) -> Connection:
        """A pipe to an engine process: to a new one, if the last has ended."""

    def close(self) -> None:
        """No more pipes are wanted."""


class OwnProcess:
    """An engine process for one HTTP process, as its child; see Line."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._process: SpawnProcess | None = None

    async def open(self) -> Connection:
        self.close()
        context = multiprocessing.get_context("spawn")  # not fork: torch and our threads would not survive it
        ours, theirs = context.Pipe()
        self._process = context.Process(target=engine.main, args=([theirs], self._options), daemon=True)
        self._process.start()
        theirs.close()
        return ours

    def close(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.join(_END_GRACE_S)
            self._process.kill()
            self._process = None


class Patience:
    """How often in a row an engine may end before it is given up."""

    def __init__(self) -> None:
        self._failures = 0
        self._begun_ns = now_ns()

    def begun(self) -> None:
        """An engine has started."""
        self._begun_ns = now_ns()

    def pause_s(self) -> float | None:
        """It ended, or did not start: seconds until the next attempt, or None when there is to be none."""
        if now_ns() - self._begun_ns > _SOUND_S * NS_PER_S:
            self._failures = 0
        self._failures += 1
        return _PAUSES_S[self._failures - 1] if self._failures <= len(_PAUSES_S) else None
