"""The life of a run: the supervisor starts the recorder and the load workers, or gathers load hosts, walks
them through the levels and ends them. It imports neither locust nor SQL.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import FrameType
from typing import Any, Protocol

from loadlab.core.clock import anchor, now_ns
from loadlab.core.errors import InterruptedRunError, MeasurementError
from loadlab.core.nouns import Level, Run
from loadlab.drive.course import Course, Listed
from loadlab.drive.crew import Crew, Part, deal, living, loss
from loadlab.drive.guard import SpendGuard

_LOOK_S = 2.0
_BOOKS_S = 30.0


@dataclass(slots=True)
class Progress:
    """What a waiting user is shown; counts are of the current level, tokens of the whole run."""

    level: Level
    levels: int
    elapsed_s: float
    sent: int
    done: int
    failed: int
    output_tokens: int


@dataclass(slots=True)
class Outcome:
    """How a run ended. `notes` says in words what went otherwise than asked.

    When the recorder was lost, `books_closed` is False: the run's end is not in the store yet.
    `asked_to_stop`: a signal came, if only after the last answer; `over_cap`: the spend guard ended the run.
    """

    interrupted: bool = False
    books_closed: bool = False
    asked_to_stop: bool = False
    over_cap: bool = False
    notes: list[str] = field(default_factory=list)


class LoadHosts(Protocol):
    """Other hosts that carry the load instead of this one."""

    def gather(self, crew: Crew, go_on: Callable[[], None]) -> Sequence[Part]:
        """The hosts, once all have come; `go_on` is called while waiting and may raise."""

    def brief(self, run: Run) -> dict[str, Any]:
        """What a host must know of the run besides its share."""


class Supervisor:
    """Runs one Run. Ctrl-C once drains and saves; twice cuts what is in flight and saves.

    A lost load worker or host is noted and the others go on; without a recorder, or with nobody left, the run
    is interrupted. With a cap on the cost it ends, as if interrupted, when that is reached. `reached` is how
    far a run had come that is resumed: the keys "seq" and "sent" of a load worker's first command.
    """

    def __init__(
        self,
        run: Run,
        store_url: str,
        progress: Callable[[Progress], None],
        hosts: LoadHosts | None = None,
        course: Course | None = None,
        reached: Mapping[str, Any] | None = None,
    ) -> None:
        self._run, self._store_url, self._progress, self._hosts = run, store_url, progress, hosts
        self._course: Course = course or Listed(run.levels)
        self._reached = reached
        self._sent_before, self._ended, self._looked_at = 0, "", 0.0
        self._outcome = Outcome()
        self._signals = 0
        self._finished = False
        self._crew = Crew()
        self._parts: Sequence[Part] = ()
        self._guard = SpendGuard(run) if run.max_cost_usd is not None else None

    def execute(self) -> Outcome:
        """The whole run. Raises what a child found wrong with what was asked; other trouble is in Outcome."""
        previous = [
            (number, signal.signal(number, self._on_signal)) for number in (signal.SIGINT, signal.SIGTERM)
        ]
        try:
            self._start()
            while not self._outcome.interrupted and (level := self._course.next()):
                self._step(level)
            self._outcome.notes.extend(self._course.notes)
            return self._finish()
        finally:
            self._crew.close()
            for number, handler in previous:
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._outcome.asked_to_stop = True

    def _start(self) -> None:
        """Starts every process side by side and waits until all are ready."""
        if self._hosts:
            self._parts = self._hosts.gather(self._crew, self._refuse_to_begin)
            self._run = _begun_now(self._run, self._parts)
        self._crew.start(0 if self._hosts else self._run.processes)
        self._recorder = self._crew.recorder
        resumed = self._reached is not None
        self._recorder.send(do="begin", run=self._run.to_dict(), db=self._store_url, resumed=resumed)
        if self._hosts:
            self._await_ready([self._recorder])
        self._parts = self._parts or self._crew.workers
        briefing: dict[str, Any] = (
            self._hosts.brief(self._run) if self._hosts else {"run": self._run.to_dict()}
        )
        briefing["reached"] = self._reached or {}
        deal(self._parts, 0, _shares(self._parts), do="begin", **briefing)
        self._await_ready([self._recorder, *self._parts])

    def _await_ready(self, parts: Sequence[Part]) -> None:
        while not all(part.ready for part in parts):
            self._listen()
            self._refuse_to_begin()
            if lost := [part for part in parts if part.gone]:
                raise MeasurementError(f"the {lost[0].name} stopped while starting; see the lines above.")

    def _refuse_to_begin(self) -> None:
        if self._signals:
            raise InterruptedRunError("stopped before the load began; nothing was sent.")

    def _step(self, level: Level) -> None:
        """One level, from its common start to the last answer. A part lost before it has no share in it."""
        if self._guard:
            self._guard.enter_level(level.index, self._parts)
        for part in self._parts:
            part.counts = (0, 0, 0)
        self._heed_cost()
        if self._outcome.interrupted:
            return
        parts = living(self._parts)
        notice_ns = max((part.notice_ns for part in parts), default=0)
        start_ns = now_ns() + notice_ns
        command = {"do": "level", "level": asdict(level), "start_ns": start_ns}
        command["offset_ns"] = start_ns - self._run.clock_ns
        self._recorder.send(**command)
        deal(parts, 0, _shares(parts), **command)
        handled, self._ended = 0, ""
        while any(part.level_done < level.index for part in living(parts)):
            self._listen()
            handled = self._heed_signals(handled)
            self._heed_cost()
            self._heed_course(level)
            self._notice_losses()
            self._progress(self._seen(level, start_ns))
        if not living(self._parts):
            self._interrupt("nobody was left to send requests")
        if not self._outcome.interrupted:
            self._recorder.send(do="level_end", level=level.index, end_ns=now_ns(), ended=self._ended or None)
            self._sent_before += sum(part.counts[1] for part in self._parts)
            if self._course.looks:
                self._await_books(level)

    def _heed_course(self, level: Level) -> None:
        """Ends a level before its time, as its course says; what is in flight may finish."""
        if self._ended or self._outcome.interrupted or time.monotonic() - self._looked_at < _LOOK_S:
            return
        if why := self._course.watch(level):
            self._ended = why
            self._tell("drain")
        self._looked_at = time.monotonic()

    def _await_books(self, level: Level) -> None:
        """Until all of a level is in the store, for a course that looks at it; not for ever."""
        deadline = time.monotonic() + _BOOKS_S
        while time.monotonic() < deadline and not self._recorder.gone:
            if self._recorder.written >= self._sent_before and self._recorder.level_closed >= level.index:
                return
            self._listen()

    def _heed_signals(self, handled: int) -> int:
        """The first signal drains, the second cuts; gives how many have been acted on."""
        if self._signals > handled:
            again = self._signals > 1
            self._interrupt("stopped by the user" + (", requests in flight were cut" if again else ""))
            self._tell("stop" if again else "drain")
        return self._signals

    def _heed_cost(self) -> None:
        """Lets the parts send as long as there is money; once there is none, what is in flight may finish."""
        if not self._guard:
            return
        ledgers = [part.ledger for part in (self._recorder, *self._parts)]
        self._guard.see(ledgers, now_ns() - self._run.clock_ns)
        if not self._guard.over:
            self._guard.allow(self._parts)
        elif not self._outcome.interrupted:
            self._outcome.notes.append(self._guard.words)
            self._outcome.interrupted = self._outcome.over_cap = True
            self._tell("drain")

    def _notice_losses(self) -> None:
        """Notes whoever is gone without having been told to; a run without a recorder is over."""
        for part in (self._recorder, *self._parts):
            if not part.gone or part.loss_noted:
                continue
            part.loss_noted = True
            if fate := part.fate():
                self._lose(part, fate)

    def _lose(self, part: Part, fate: str) -> None:
        if part is self._recorder:
            self._interrupt(f"the recorder was lost during the run ({fate})")
            self._tell("stop")
        else:
            self._outcome.notes.append(loss(part, fate))

    def _interrupt(self, note: str) -> None:
        self._outcome.interrupted = True
        if note not in self._outcome.notes:
            self._outcome.notes.append(note)

    def _tell(self, what: str) -> None:
        for part in self._parts:
            part.send(do=what)

    def _seen(self, level: Level, start_ns: int) -> Progress:
        sent, done, failed = (
            sum(column) for column in zip(*(part.counts for part in self._parts), strict=True)
        )
        tokens = sum(part.output_tokens for part in (self._recorder, *self._parts))
        elapsed_s = max(0.0, (now_ns() - start_ns) / 1e9)
        return Progress(level, self._course.total, elapsed_s, sent, done, failed, tokens)

    def _finish(self) -> Outcome:
        """Ends the parts first, so that the recorder has everything when it closes the books."""
        self._tell("exit")
        deadline = time.monotonic() + max((part.patience_s for part in living(self._parts)), default=0.0)
        while living(self._parts) and time.monotonic() < deadline:
            self._listen()
        self._crew.kill_workers()
        self._notice_losses()
        state = "interrupted" if self._outcome.interrupted else "finished"
        self._recorder.send(do="finish", state=state, notes=self._outcome.notes)
        while not (self._finished or self._recorder.gone):
            self._listen()
        if not self._finished:
            self._notice_losses()
        self._outcome.books_closed = self._finished
        return self._outcome

    def _listen(self) -> None:
        for part, message in self._crew.listen():
            if message["is"] == "finished" and part is self._recorder:
                self._finished = True
            elif message["is"] == "note":
                self._outcome.notes.append(f"{part.name}: {message['note']}")
            elif message["is"] == "file":
                self._recorder.send(do="merge", path=message["path"])
            else:
                part.hear(message)


def _begun_now(run: Run, hosts: Sequence[Part]) -> Run:
    """The run as of now, when its load hosts have come, and with them written down."""
    clock_ns, started_at_ns = anchor()
    machines = [{"name": host.name, "load_workers": host.workers, **host.about} for host in hosts]
    return replace(
        run,
        clock_ns=clock_ns,
        started_at_ns=started_at_ns,
        processes=_shares(hosts),
        environment={**run.environment, "load_hosts": machines},
    )


def _shares(parts: Sequence[Part]) -> int:
    return sum(part.workers for part in parts)
