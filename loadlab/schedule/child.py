"""A job's process: an ordinary `loadlab …` with --json, its output in files that outlive the scheduler.

A scheduler that is killed takes no measurement with it: the child has no pipe that could break.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from loadlab.core.errors import UsageError

_LOOK_S, _SEEN_EVERY_S, _PATIENCE_S = 0.2, 5.0, 120.0
_TOLD = 2000


@dataclass(slots=True)
class Stop:
    """Whether the work is to end: at 1 it drains and saves, at 2 it is cut short."""

    asked: int = 0


@dataclass(frozen=True, slots=True)
class Files:
    """Where the output of one entry of the log goes until it is read."""

    out: Path
    err: Path

    @classmethod
    def of(cls, place: str, entry_id: int) -> Files:
        """The files of an entry of the log of that database. Raises UsageError."""
        folder = Path(tempfile.gettempdir()) / f"loadlab-schedule-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != os.getuid() or folder.is_symlink():
                raise PermissionError(1, "it belongs to another user")
        except OSError as error:
            raise UsageError(
                f"{folder} cannot be used ({error.strerror}); set TMPDIR to another place."
            ) from error
        stem = f"{zlib.crc32(place.encode()):x}-{entry_id}"
        return cls(folder / f"{stem}.out", folder / f"{stem}.err")

    def document(self) -> dict[str, Any]:
        """What --json printed; {} when that is not complete."""
        try:
            found = json.loads(self.out.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def told(self) -> str:
        """The last words on stderr."""
        try:
            with self.err.open("rb") as file:
                file.seek(max(0, self.err.stat().st_size - _TOLD))
                return file.read().decode(errors="replace").strip()
        except OSError:
            return ""

    def remove(self) -> None:
        """Takes them away once they are read."""
        self.out.unlink(missing_ok=True)
        self.err.unlink(missing_ok=True)


def begin(command: Sequence[str], place: str, files: Files) -> subprocess.Popen[bytes]:
    """Starts `loadlab COMMAND`, in a group of its own: the terminal's Ctrl-C reaches it through us, once.

    The database goes by the environment: its URL may hold a password, and commands are seen by all.
    """
    words = [sys.executable, "-m", "loadlab", *command, *([] if "--json" in command else ["--json"])]
    environ = {**os.environ, "LOADLAB_DB": place}
    with files.out.open("wb") as out, files.err.open("wb") as err:
        return subprocess.Popen(
            words, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0
        )


def follow(
    process: subprocess.Popen[bytes], stop: Stop, seen: Callable[[], None], at_most_s: float | None
) -> tuple[int, str]:
    """Its exit code, and why it was ended early ("" when it was not); `seen` is called every few seconds."""
    began = last = time.monotonic()
    told, asked_at, why = 0, 0.0, ""
    while process.poll() is None:
        now = time.monotonic()
        if now - last >= _SEEN_EVERY_S:
            last = now
            seen()
        late = at_most_s is not None and now - began > at_most_s
        wanted = max(stop.asked, int(late))
        if wanted > told:
            why = why or (
                f"ended after {at_most_s:g} s, its at_most" if late else "the scheduler was stopped"
            )
            told, asked_at = told + 1, now
            process.send_signal(signal.SIGINT)
        elif told and now - asked_at > _PATIENCE_S:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(_LOOK_S)
    return process.returncode, why


def alive(pid: int | None, since_ns: int | None) -> bool:
    """Whether that process still runs on this host, and is not a later one with the same number."""
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        gone = process.status() == psutil.STATUS_ZOMBIE
        return not gone and (since_ns is None or process.create_time() < since_ns / 1e9 + 2)
    except psutil.Error:
        return False
