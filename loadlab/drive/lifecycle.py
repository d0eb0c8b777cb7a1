"""The life of a run: the supervisor starts the recorder and the load workers, walks them through the levels
and ends them. It imports neither locust nor SQL; socket pairs join its children to it and to each other.
"""

from __future__ import annotations

import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from loadlab.core.clock import now_ns
from loadlab.core.errors import ExitCode, InterruptedRunError, LoadlabError, MeasurementError
from loadlab.core.nouns import Level, Run
from loadlab.drive.channel import Channel

_POLL_S = 0.1
_START_IN_NS = 20_000_000
_LINK_BUFFER = 4 << 20
_GRACE_S = 5.0
# A worker ends once the recorder has taken over everything it still holds.
_HAND_OVER_S = 60.0


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
    """

    interrupted: bool = False
    books_closed: bool = False
    notes: list[str] = field(default_factory=list)


class _Child:
    """One process and the supervisor's end of its channel."""

    def __init__(self, name: str, module: str, *passed: socket.socket) -> None:
        ours, theirs = socket.socketpair()
        self.name = name
        self.channel = Channel(ours)
        descriptors = [theirs.fileno(), *(sock.fileno() for sock in passed)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *map(str, descriptors)],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=2,
            # Its own group: the terminal's Ctrl-C is for the supervisor alone.
            process_group=0,
        )
        theirs.close()
        for sock in passed:
            sock.close()
        self.ready = self.gone = False
        self.level_done = -1
        self.counts = (0, 0, 0)

    def end(self, patience_s: float) -> None:
        """Waits for the process to end by itself, then insists."""
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.channel.close()


class Supervisor:
    """Runs one Run. Ctrl-C once drains and saves; twice cuts what is in flight and saves."""

    def __init__(self, run: Run, store_url: str, progress: Callable[[Progress], None]) -> None:
        self._run, self._store_url, self._progress = run, store_url, progress
        self._outcome = Outcome()
        self._signals = 0
        self._output_tokens = 0
        self._finished = False
        self._selector = selectors.DefaultSelector()
        self._children: list[_Child] = []

    def execute(self) -> Outcome:
        """The whole run. Raises what a child found wrong with what was asked; other trouble is in Outcome."""
        previous = (
            signal.signal(signal.SIGINT, self._on_signal),
            signal.signal(signal.SIGTERM, self._on_signal),
        )
        try:
            self._start()
            for level in self._run.levels:
                if not self._stopping:
                    self._step(level)
            return self._finish()
        except BaseException:
            self._kill()
            raise
        finally:
            signal.signal(signal.SIGINT, previous[0])
            signal.signal(signal.SIGTERM, previous[1])
            self._selector.close()

    @property
    def _stopping(self) -> bool:
        return self._outcome.interrupted

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self) -> None:
        """Starts every process side by side and waits until all are ready."""
        pairs = [socket.socketpair() for _ in range(self._run.processes)]
        for ours, _ in pairs:
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LINK_BUFFER)
        self._workers = [
            _Child(f"load worker {index}", "loadlab.drive.worker", pair[0])
            for index, pair in enumerate(pairs)
        ]
        self._children = list(self._workers)
        self._recorder = _Child("recorder", "loadlab.recorder.process", *(pair[1] for pair in pairs))
        self._children.append(self._recorder)
        for child in self._children:
            self._selector.register(child.channel, selectors.EVENT_READ, child)
        run = self._run.to_dict()
        self._recorder.channel.send(do="begin", run=run, db=self._store_url)
        for index, worker in enumerate(self._workers):
            worker.channel.send(do="begin", run=run, index=index, count=len(self._workers))
        while not all(child.ready for child in self._children):
            self._listen()
            if self._signals:
                raise InterruptedRunError("stopped before the load began; nothing was sent.")
            if gone := [child for child in self._children if child.gone]:
                raise MeasurementError(f"the {gone[0].name} stopped while starting; see the lines above.")

    def _step(self, level: Level) -> None:
        """One level, from its common start to the last answer."""
        start_ns = now_ns() + _START_IN_NS
        message = {"do": "level", "level": asdict(level), "start_ns": start_ns}
        self._recorder.channel.send(**message)
        for worker in self._workers:
            worker.counts = (0, 0, 0)
            worker.channel.send(**message)
        handled = 0
        while any(worker.level_done < level.index and not worker.gone for worker in self._workers):
            self._listen()
            handled = self._heed_signals(handled)
            self._notice_losses()
            self._progress(self._seen(level, start_ns))
        if not self._stopping:
            self._recorder.channel.send(do="level_end", level=level.index, end_ns=now_ns())

    def _heed_signals(self, handled: int) -> int:
        """The first signal drains, the second cuts; gives how many have been acted on."""
        if self._signals > handled:
            again = self._signals > 1
            self._interrupt("stopped by the user" + (", requests in flight were cut" if again else ""))
            self._tell_workers("stop" if again else "drain")
        return self._signals

    def _notice_losses(self) -> None:
        for child in self._children:
            if child.gone and not self._finished and not self._noted(child):
                code = child.process.wait()
                how = f"signal {-code}" if code < 0 else f"exit code {code}"
                self._interrupt(f"the {child.name} was lost during the run ({how})")
                self._tell_workers("drain" if child is not self._recorder else "stop")

    def _noted(self, child: _Child) -> bool:
        return any(child.name in note for note in self._outcome.notes)

    def _interrupt(self, note: str) -> None:
        self._outcome.interrupted = True
        if note not in self._outcome.notes:
            self._outcome.notes.append(note)

    def _tell_workers(self, what: str) -> None:
        for worker in self._workers:
            worker.channel.send(do=what)

    def _seen(self, level: Level, start_ns: int) -> Progress:
        sent, done, failed = (sum(column) for column in zip(*(w.counts for w in self._workers), strict=True))
        elapsed_s = max(0.0, (now_ns() - start_ns) / 1e9)
        return Progress(level, len(self._run.levels), elapsed_s, sent, done, failed, self._output_tokens)

    def _finish(self) -> Outcome:
        """Ends the workers first, so that their links are empty when the recorder closes the books."""
        for worker in self._workers:
            worker.channel.send(do="exit")
        for worker in self._workers:
            self._forget(worker)
            worker.end(_HAND_OVER_S)
        state = "interrupted" if self._outcome.interrupted else "finished"
        self._recorder.channel.send(do="finish", state=state, notes=self._outcome.notes)
        while not (self._finished or self._recorder.gone):
            self._listen()
        self._notice_losses()
        self._outcome.books_closed = self._finished
        self._recorder.end(_GRACE_S)
        return self._outcome

    def _listen(self) -> None:
        for key, _ in self._selector.select(_POLL_S):
            child: _Child = key.data
            messages = child.channel.receive()
            if messages is None:
                self._forget(child)
                child.gone = True
            for message in messages or ():
                self._hear(child, message)

    def _forget(self, child: _Child) -> None:
        if not child.gone:
            self._selector.unregister(child.channel)

    def _hear(self, child: _Child, message: dict[str, Any]) -> None:
        match message["is"]:
            case "ready":
                child.ready = True
            case "progress":
                child.counts = (message["sent"], message["done"], message["failed"])
            case "level_done":
                child.level_done = message["level"]
            case "written":
                self._output_tokens = message["output_tokens"]
            case "finished":
                self._finished = True
            case "error":
                raise _as_error(message)

    def _kill(self) -> None:
        for child in self._children:
            child.channel.close()
        for child in self._children:
            child.end(_GRACE_S)


def _as_error(message: dict[str, Any]) -> LoadlabError:
    error = LoadlabError(message["message"])
    error.exit_code = ExitCode(message["exit"])
    return error
