"""What a waiting user sees on stderr: a live line on a terminal, a plain line every ten seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from loadlab.cli.output import say
from loadlab.core.nouns import Level, Run
from loadlab.core.units import number
from loadlab.drive.lifecycle import Progress

_PLAIN_EVERY_S = 10.0


class Show:
    """Shows a run's progress for as long as the `with` block lasts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._live = sys.stderr.isatty()
        self._last = 0.0
        self._level = -1

    def __enter__(self) -> Self:
        where = f"{self._run.endpoint.model or 'the model'} at {self._run.endpoint.url}"
        say(f"run {self._run.id}: {self._run.scenario} against {where}")
        if self._live:
            from rich.console import Console

            self._status = Console(stderr=True).status("starting")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._status.stop()

    def update(self, progress: Progress) -> None:
        """Takes what the supervisor sees, ten times a second."""
        if self._live:
            self._status.update(line(progress))
            return
        now = time.monotonic()
        if progress.level.index != self._level or now - self._last >= _PLAIN_EVERY_S:
            self._level, self._last = progress.level.index, now
            say(line(progress))


def line(progress: Progress) -> str:
    """One line: which level, how far, how it goes."""
    level = progress.level
    if level.requests:
        far = f"{progress.done} of {level.requests} requests"
    else:
        whole = "" if level.duration_s is None else f" of {level.duration_s:g}"
        far = f"{progress.elapsed_s:.0f}{whole} s, {progress.done} done"
    return (
        f"level {level.index + 1}/{progress.levels} ({offered(level)}): {far}, "
        f"{progress.sent - progress.done} in flight, {progress.failed} failed, "
        f"{number(progress.output_tokens)} tokens so far"
    )


def offered(level: Level) -> str:
    """The load of a level in words."""
    if level.rate is not None:
        return f"{level.rate:.3g} req/s {level.arrivals}" + (" profile" if level.profile else "")
    if level.users is None:
        return "the scenario's shape"
    return f"{level.users} user" + ("s" if level.users != 1 else "")
