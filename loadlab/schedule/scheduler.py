"""The embedded scheduler: APScheduler's loop on the store's own tables.

It survives its own end: next times, planned times taken and locks are rows, and a child goes on without it.
A planned time is a row of the log before APScheduler forgets it, and only one scheduler can write that row.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.blocking import BlockingScheduler

from loadlab.core.errors import StoreError
from loadlab.schedule import child, work
from loadlab.schedule.child import Files, Stop
from loadlab.schedule.jobs import ON_TIME_S, Job, Schedule
from loadlab.schedule.times import Times
from loadlab.store.job_times import JobTimes, Planned
from loadlab.store.schedule_log import Entry, ScheduleLog
from loadlab.store.store import Store

LOOK_S = 5.0
_ATTEMPTS = 2


class Scheduler:
    """Carries out a schedule until it is stopped. `afterwards` is called after each job."""

    def __init__(
        self,
        schedule: Schedule,
        store: Store,
        place: str,
        config: Mapping[str, Any],
        announce: Callable[[str], None],
        afterwards: Callable[[], None] = lambda: None,
    ) -> None:
        self._schedule, self._place = schedule, place
        self._announce, self._afterwards = announce, afterwards
        self._stop, self._log = Stop(), ScheduleLog(store)
        self._work = work.Work(self._log, place, config, self._stop, announce)
        self._began_ns = time.time_ns()
        times = {job.name: Planned(Times(job), job.when) for job in schedule.jobs}
        self._turns = _Turns(schedule.at_once, self._book, self._carry_out)
        self._loop = _Loop(self._look, JobTimes(store, schedule.group, times), self._turns)
        self._loop.add_listener(self._overrun, EVENT_JOB_MAX_INSTANCES)
        self.cut_short = False

    def run(self) -> None:
        """Until SIGINT or SIGTERM: the first lets commands drain and save, the second cuts them short."""
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        previous = [
            (number, signal.signal(number, self._on_signal)) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        try:
            self._recover()
            self._loop.start()
            self._turns.drain()
        finally:
            for number, handler in previous:
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.asked += 1
        self._loop.wakeup()

    def _look(self) -> bool:
        """What there is to do beside the times; whether to go on."""
        if self._stop.asked:
            return False
        try:
            self._recover()
        except StoreError as error:
            self._announce(str(error))
        return True

    def _book(self, name: str, times: Sequence[datetime]) -> int | None:
        """The log's id for the newest of the times that are due; None where there is nothing to carry out."""
        job, latest = self._schedule.job(name), times[-1]
        late_s = (datetime.now(UTC) - latest).total_seconds()
        made_up = late_s > ON_TIME_S or len(times) > 1
        words = _missed(times[: -1 if late_s <= ON_TIME_S else None]) if made_up else ""
        if job.late_s is not None and late_s > job.late_s:
            self._log.book(self._entry(job, latest, state="missed", reason=f"{words} and not made up for"))
            self._announce(f"{name}: {words} and not made up for")
            return None
        entry = self._entry(job, latest, cause="missed" if late_s > ON_TIME_S else "time", reason=words)
        return self._log.book(entry)

    def _entry(self, job: Job, at: datetime, **values: Any) -> Entry:
        planned_ns = round(at.timestamp() * 1000) * 1_000_000
        return Entry(job.name, planned_ns, job.command, self._schedule.group, **values)

    def _overrun(self, event: Any) -> None:
        job = self._schedule.job(event.job_id)
        for at in event.scheduled_run_times[-1:]:
            reason = "the one before is still under way or waits"
            if self._log.book(self._entry(job, at, state="skipped", reason=reason)):
                self._announce(f"{job.name} skipped: {reason}")

    def _carry_out(self, name: str, entry_id: int) -> None:
        try:
            self._work.carry_out(self._schedule.job(name), entry_id)
            self.cut_short |= bool(self._stop.asked)
            self._afterwards()
        except Exception as error:  # a thread's error would be seen by nobody, and its job stay "running"
            self._announce(f"{name}: {error}")
            self._log.note(entry_id, state="lost", reason=str(error), ended_at_ns=time.time_ns())

    def _recover(self) -> None:
        """Looks after entries whose scheduler is gone: a child that lives may end, the rest is settled."""
        for entry in self._log.unfinished(self._schedule.group):
            here = entry.host == socket.gethostname()
            if here and entry.pid == os.getpid() and entry.booked_at_ns >= self._began_ns:
                continue
            if child.alive(entry.pid, entry.booked_at_ns) if here else not entry.silent:
                continue
            if here and child.alive(entry.child_pid, entry.started_at_ns):
                self._log.seen(entry.id)
            else:
                self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        files = Files.of(self._place, entry.id)
        went_on = bool(files.document())
        reason = "its scheduler was killed" + ("; the command ended without it, how is not known" * went_on)
        state = "ended" if went_on else "lost"
        if not self._log.settle(entry, state=state, reason=reason, **work.found(files)):
            return
        files.remove()
        self._announce(f"{entry.job} (log {entry.id}): {reason}")
        if not went_on and entry.cause != "hand" and entry.attempt < _ATTEMPTS:
            self._again(entry)

    def _again(self, entry: Entry) -> None:
        """Books what was lost once more, unless missed times are skipped or the job is gone."""
        for job in self._schedule.jobs:
            if job.name == entry.job and job.missed == "once":
                new = Entry(
                    job.name, entry.planned_at_ns, job.command, entry.job_group, entry.attempt + 1, "again"
                )
                if (booked := self._log.book(new)) is not None:
                    self._turns.submit(job.name, booked)


def _missed(times: Sequence[datetime]) -> str:
    first, last = (at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") for at in (times[0], times[-1]))
    span = first if len(times) == 1 else f"{first} to {last}"
    return f"{len(times)} planned time{'s' * (len(times) > 1)} missed ({span} UTC)"


class _Loop(BlockingScheduler):  # type: ignore[misc]
    """APScheduler's loop in the main thread; looks up every few seconds, outlives a database's absence."""

    def __init__(self, look: Callable[[], bool], times: JobTimes, turns: _Turns) -> None:
        super().__init__(timezone=UTC, jobstores={"default": times}, executors={"default": turns})
        self._look_up = look

    def _process_jobs(self) -> float:
        if not self._look_up():
            self.shutdown(wait=False)
            return 0.0
        try:
            return min(super()._process_jobs() or LOOK_S, LOOK_S)
        except StoreError:  # said by whoever asks next
            return LOOK_S


class _Turns(ThreadPoolExecutor):  # type: ignore[misc]
    """So many jobs at once. A planned time is booked before APScheduler moves on to the next one."""

    def __init__(
        self,
        at_once: int,
        book: Callable[[str, Sequence[datetime]], int | None],
        carry_out: Callable[[str, int], None],
    ) -> None:
        super().__init__(at_once)
        self._book, self._carry_out = book, carry_out

    def submit(self, name: str, entry_id: int) -> None:
        """Carries out an entry that has no planned time of its own."""
        self._pool.submit(self._carry_out, name, entry_id)

    def drain(self) -> None:
        """Waits until nothing is under way."""
        self._pool.shutdown(wait=True)

    def _do_submit_job(self, job: Any, run_times: Sequence[datetime]) -> None:
        booked = self._book(job.id, run_times)
        future = self._pool.submit(lambda: None if booked is None else self._carry_out(job.id, booked))
        future.add_done_callback(lambda _: self._run_job_success(job.id, []))
