"""One entry of the log carried out: its targets taken, its command run, written down what came of it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from loadlab.core.errors import StoreError
from loadlab.schedule import child, occupied
from loadlab.schedule.child import Files, Stop
from loadlab.schedule.jobs import Job
from loadlab.store.schedule_log import ScheduleLog

_LOOK_S, _SEEN_EVERY_S, _TRIES = 0.5, 5.0, 6


class Work:
    """Carries out jobs on an open store; `place` is its URL, `announce` takes one line of progress."""

    def __init__(
        self,
        log: ScheduleLog,
        place: str,
        config: Mapping[str, Any],
        stop: Stop,
        announce: Callable[[str], None],
    ) -> None:
        self._log, self._place, self._config = log, place, config
        self._stop, self._announce = stop, announce

    def carry_out(self, job: Job, entry_id: int) -> int | None:
        """Runs the command once its targets are free; gives its exit code, None where it did not run."""
        targets = occupied.targets(job, self._config)
        try:
            if why := self._wait(job, entry_id, targets):
                state = "stopped" if self._stop.asked else "skipped"
                self._end(entry_id, job, state=state, reason=why)
                return None
            return self._run(job, entry_id)
        finally:
            _patiently(lambda: self._log.release(entry_id))

    def _wait(self, job: Job, entry_id: int, targets: tuple[str, ...]) -> str | None:
        """Takes the targets; gives why that was not to be."""
        self._log.note(entry_id, state="waiting")
        deadline, seen, said = time.monotonic() + job.wait, time.monotonic(), ""
        while not self._stop.asked:
            busy = self._busy(entry_id, targets)
            if busy is None:
                return None
            if time.monotonic() >= deadline:
                return f"{busy}; waited {job.wait:g} s"
            if busy != said:
                said = busy
                self._announce(f"{job.name} waits: {busy}")
            if time.monotonic() - seen > _SEEN_EVERY_S:
                seen = time.monotonic()
                self._seen(entry_id)
            time.sleep(_LOOK_S)
        return "the scheduler was stopped"

    def _busy(self, entry_id: int, targets: tuple[str, ...]) -> str | None:
        """Who is in the way; None when every target is ours now."""
        for holder in self._log.last_holders(entry_id, targets):
            # Its lease may have run out with a killed scheduler, while the command itself goes on.
            if holder.host == socket.gethostname() and child.alive(holder.child_pid, holder.started_at_ns):
                return f"job {holder.job} (log {holder.id}) is under way"
        if taken := self._log.take(entry_id, targets):
            return taken
        if run := self._log.measured(targets):
            self._log.release(entry_id)
            return f"run {run}, which was not started from here, is under way"
        return None

    def _run(self, job: Job, entry_id: int) -> int:
        files = Files.of(self._place, entry_id)
        process = child.begin(job.command, self._place, files)
        began = time.time_ns()
        _patiently(
            lambda: self._log.note(entry_id, state="running", child_pid=process.pid, started_at_ns=began)
        )
        self._announce(f"{job.name} begins: loadlab {' '.join(job.command)}")
        code, why = child.follow(process, self._stop, lambda: self._seen(entry_id), job.at_most)
        state = "stopped" if self._stop.asked and why else "ended"
        reason = {"reason": why} if why else {}  # else what was booked stands
        self._end(entry_id, job, state=state, exit_code=code, **reason, **found(files))
        files.remove()
        return code

    def _end(self, entry_id: int, job: Job, **values: Any) -> None:
        _patiently(lambda: self._log.note(entry_id, ended_at_ns=time.time_ns(), **values))
        code = values.get("exit_code")
        words = [values["state"], *([f"exit code {code}"] if code is not None else [])]
        words += [values[key] for key in ("run_id", "gate_id", "reason") if values.get(key)]
        self._announce(f"{job.name}: {', '.join(words)}")

    def _seen(self, entry_id: int) -> None:
        """A database that is away for a moment ends no measurement."""
        try:
            self._log.seen(entry_id)
        except StoreError as error:
            self._announce(str(error))


def found(files: Files) -> dict[str, Any]:
    """What a child left behind: the ids in its document, its last words."""
    document = files.document()
    ids = {kind: document.get(kind) for kind in ("run", "gate")}
    known = {
        f"{kind}_id": each["id"] for kind, each in ids.items() if isinstance(each, dict) and "id" in each
    }
    return {"told": files.told(), **known}


def _patiently(write: Callable[[], None]) -> None:
    """Tries again while the database is away; after a minute its error is raised."""
    for attempt in range(_TRIES):
        try:
            write()
            return
        except StoreError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(2.0**attempt)
