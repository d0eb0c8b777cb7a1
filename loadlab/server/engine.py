"""The engine process: takes jobs from pipes, steps, answers with one message per step and pipe.

It has its own process because torch gives up and retakes the GIL hundreds of times a step: beside a busy
event loop the same engine runs at half the speed. It knows no HTTP and no text, only token ids.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import struct
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

from loadlab.core.clock import now_ns
from loadlab.core.errors import LoadlabError
from loadlab.server.job import Choice, EngineError, Load
from loadlab.server.messages import Change, Failed, Started, Step, Switched, ToEngine
from loadlab.server.plan import Chunk, Output, Sequence
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches
from loadlab.server.techniques import Techniques

# OpenMP threads spin for each other at every one of a step's ~250 operations: with one more busy process on
# the machine a step took 50 times longer. Sleeping at once doubles an undisturbed step; this many
# turns cost 10 %.
_SPINS = "1000"
_NICE = 5  # on a shared machine whoever writes tokens out, or measures them, must wake at once
_PATIENCE_S = 2  # with a front whose pipe is full: it has read nothing for hundreds of steps
_WHOLE_PROMPTS = 2048  # tokens of a step when prompts are not cut up


@dataclass(frozen=True, slots=True)
class Options(Techniques):
    """How the engine process is to be set up; zeros mean its own choice, a `budget` of 0 whole prompts."""

    model: str
    device: str = "auto"
    threads: int = 0
    max_num_seqs: int = 64
    budget: int = 512
    context: int = 0
    seed: int = 0

    def switches(self) -> Switches:
        """The techniques as they are set at the beginning."""
        return Switches(
            batching=self.batching,
            chunked_prefill=self.budget > 0,
            max_num_batched_tokens=self.budget or _WHOLE_PROMPTS,
            max_num_seqs=self.max_num_seqs,
            prefix_cache=self.prefix_cache,
            speculate=self.speculate,
            speculate_tokens=self.speculate_tokens,
            speculate_max_seqs=self.speculate_max_seqs,
        )


class LaunchingRunner(Protocol):
    """A runner that may compute while Python goes on: then `overlaps`, and other work fits in between."""

    @property
    def overlaps(self) -> bool:
        """Whether it does."""

    def launch(self, plan: list[Chunk]) -> Callable[[], list[list[Choice]]]:
        """Starts a step; calling what comes back waits for its end. LoadlabError: no memory for it."""


def main(pipes: list[Connection], options: Options) -> None:
    """Entry point of the process, one pipe per front process. It ends when all their other ends do."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)  # read when torch is imported
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the HTTP process decides
    from loadlab.server.setup import prepare  # here, because it imports torch

    try:
        started, scheduler, runner = prepare(options)
    except LoadlabError as error:
        _tell(pipes, Failed(str(error)))
        return
    _tell(pipes, started)
    gc.collect()
    gc.freeze()  # what is there now stays; looking through it again and again would only cost time
    Loop(pipes, scheduler, runner).run()


def _tell(pipes: list[Connection], message: Started | Failed) -> None:
    for pipe in pipes:
        with suppress(OSError):  # a front that is already gone shows when it is read
            pipe.send(message)


@dataclass(slots=True)
class _Done:
    """What a step did and has not yet been told."""

    admitted: list[tuple[Sequence, int, int]] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    failed: list[tuple[Sequence, str]] = field(default_factory=list)

    def steps(self, load: Load) -> dict[int, Step]:
        """The messages by front; none for those that nothing happened to."""
        steps: defaultdict[int, Step] = defaultdict(lambda: Step([], [], {}, [], load))
        for sequence, at_ns, cached in self.admitted:
            steps[sequence.front].admitted.append((sequence.id, at_ns, cached))
        for sequence, choices, finish in self.outputs:
            step, tokens = steps[sequence.front], tuple([choice.token for choice in choices])
            step.pieces.append((sequence.id, tokens, finish))
            if sequence.sampling.logprobs is not None:
                step.choices[sequence.id] = choices
        for sequence, message in self.failed:
            steps[sequence.front].failed.append((sequence.id, message))
        return steps


def _limit_sending(pipe: Connection) -> None:
    """From now on sending raises BlockingIOError after some seconds without room: its pipe is a socket."""
    with socket.socket(fileno=os.dup(pipe.fileno())) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", _PATIENCE_S, 0))


class Loop:
    """Looks into the pipes between steps; sleeps when there is nothing to do."""

    def __init__(self, pipes: list[Connection], scheduler: Scheduler, runner: LaunchingRunner) -> None:
        self._pipes, self._scheduler, self._runner = dict(enumerate(pipes)), scheduler, runner
        self._last: _Done | None = None
        self._deaf: set[int] = set()  # fronts that do not read; to be let go between steps
        if len(pipes) > 1:  # with one there is nobody else to be held up
            for pipe in pipes:
                _limit_sending(pipe)
        self._selector = selectors.DefaultSelector()
        for front, pipe in self._pipes.items():
            self._selector.register(pipe, selectors.EVENT_READ, front)

    def run(self) -> None:
        """Until all pipes are closed."""
        while self._pipes:
            self._listen()
            if self._scheduler.busy:
                self._step()

    def _listen(self) -> None:
        while self._deaf:
            self._hang_up(self._deaf.pop())
        while self._pipes:
            if not self._scheduler.busy:
                self._report_last()  # before sleeping
            ready = self._selector.select(0 if self._scheduler.busy else None)
            for key, _ in ready:
                self._receive(key.data)
            if not ready:
                return

    def _receive(self, front: int) -> None:
        try:
            self._take(self._pipes[front].recv(), front)
        except (EOFError, OSError):
            self._hang_up(front)

    def _take(self, message: ToEngine, front: int) -> None:
        if isinstance(message, Sequence):
            message.front = front
            self._add(message)
        elif isinstance(message, Change):
            self._switch(message, front)
        else:
            self._abort(message)

    def _add(self, sequence: Sequence) -> None:
        try:
            self._scheduler.add(sequence)
        except EngineError as error:
            self._report(_Done(failed=[(sequence, str(error))]))

    def _abort(self, sequence_id: str) -> None:
        self._scheduler.abort(sequence_id)
        self._last = self._last or _Done()  # should nothing be left to do, that is to be told

    def _switch(self, change: Change, front: int) -> None:
        self._scheduler.switch(self._scheduler.switches.changed(change.changes, {}))
        for other in list(self._pipes):
            number = change.number if other == front else 0
            self._send(other, Switched(number, self._scheduler.switches))

    def _step(self) -> None:
        plan = self._scheduler.plan()
        done = _Done([(sequence, now_ns(), cached) for sequence, cached in self._scheduler.admitted])
        try:
            result = self._runner.launch(plan)
            self._report_last()  # beside the device, if it computes by itself
            done.outputs = self._scheduler.advance(plan, result())
        except LoadlabError as error:  # no memory for this step: its requests fail, the others go on
            done.failed = [(chunk.sequence, str(error)) for chunk in plan]
            for chunk in plan:
                self._scheduler.abort(chunk.sequence.id)
        self._last = done
        if not (self._runner.overlaps and self._scheduler.busy):
            self._report_last()

    def _report_last(self) -> None:
        if self._last:
            self._report(self._last)
            self._last = None

    def _report(self, done: _Done) -> None:
        """Tells every front what concerns it, and all of them when nothing is left to do."""
        load = self._scheduler.load()
        steps = done.steps(load)
        for front in list(self._pipes):
            if front in steps or not self._scheduler.busy:
                self._send(front, steps.get(front) or Step([], [], {}, [], load))

    def _send(self, front: int, message: Step | Switched) -> None:
        if front in self._deaf:
            return
        try:
            self._pipes[front].send(message)
        except BlockingIOError:
            print(
                f"front {front} has not read for {_PATIENCE_S} s and is let go", file=sys.stderr, flush=True
            )
            self._deaf.add(front)
        except OSError:
            return  # whoever is gone is noticed between steps, by listening

    def _hang_up(self, front: int) -> None:
        """A front process is gone: nobody waits for what it asked."""
        pipe = self._pipes.pop(front)
        self._selector.unregister(pipe)
        pipe.close()
        for sequence in self._scheduler.known:
            if sequence.front == front:
                self._abort(sequence.id)
