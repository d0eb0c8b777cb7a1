"""The HTTP side of the engine process: sends jobs, turns its tokens into text, notices its death."""

from __future__ import annotations

import asyncio
import multiprocessing
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from loadlab.core.errors import LoadlabError
from loadlab.server import engine, schedule
from loadlab.server.engine import Failed, Options, Started, Step
from loadlab.server.job import EngineError, Finish, Job, Load, Sink, Turn
from loadlab.server.schedule import Output
from loadlab.server.text import BpeTokeniser, ByteTokeniser, Detokeniser, Tokeniser

_END_GRACE_S = 2.0


@dataclass(slots=True)
class _Open:
    sink: Sink
    text: Detokeniser


class TorchEngine:
    """A real model in its own process; see `job.Engine`."""

    name = "torch"

    def __init__(self, options: Options) -> None:
        self.model, self.device, self.context = options.model, options.device, options.context
        self._options = options
        self._open: dict[str, _Open] = {}
        self._load = Load()
        self._trouble: str | None = "the engine has not started"
        self._outbox: queue.SimpleQueue[schedule.Sequence | str | None] = queue.SimpleQueue()
        self._process: SpawnProcess | None = None

    async def start(self) -> None:
        print(f"starting the torch engine with {self.model}", file=sys.stderr, flush=True)
        loop = asyncio.get_running_loop()
        self._started: asyncio.Future[Started] = loop.create_future()
        context = multiprocessing.get_context("spawn")  # not fork: torch and our threads would not survive it
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=engine.main, args=(theirs, self._options), daemon=True)
        self._process.start()
        theirs.close()
        loop.add_reader(self._pipe.fileno(), self._read)
        threading.Thread(target=_post, args=(self._outbox, self._pipe), daemon=True).start()
        self._begin(await self._started)

    async def stop(self) -> None:
        self._fail_open("the server is shutting down")
        self._outbox.put(None)
        if self._process is None:
            return
        self._process.terminate()
        self._process.join(_END_GRACE_S)
        self._hang_up()

    def encode(self, text: str) -> list[int]:
        return self._tokeniser.encode(text)

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return self._tokeniser.encode_chat(turns)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [self._tokeniser.pieces[token] for token in tokens]

    def submit(self, job: Job, sink: Sink) -> None:
        size = len(self._tokeniser.pieces)
        if strange := [token for token in job.prompt if token >= size]:
            raise EngineError(f"token id {strange[0]} is not in the vocabulary of {size}.", 400)
        room = self.context - len(job.prompt)
        limit = min(job.sampling.max_tokens or room, room)
        self._open[job.id] = _Open(sink, Detokeniser(self._tokeniser.pieces, job.sampling.stop))
        self._outbox.put(schedule.Sequence(job.id, list(job.prompt), limit, job.sampling))

    def abort(self, job_id: str) -> None:
        if self._open.pop(job_id, None):
            self._outbox.put(job_id)

    def load(self) -> Load:
        return self._load

    def trouble(self) -> str | None:
        return self._trouble

    def settings(self) -> dict[str, Any]:
        return {}

    async def configure(self, changes: Mapping[str, Any]) -> None:
        raise EngineError("this engine has nothing to switch.", 400)

    def report(self, query: Mapping[str, str]) -> bytes | None:
        return None

    def _begin(self, started: Started) -> None:
        self.device, self.context = started.device, started.context
        self._tokeniser: Tokeniser = BpeTokeniser(started.tokeniser) if started.tokeniser else ByteTokeniser()
        self._trouble = None

    def _read(self) -> None:
        try:
            while self._pipe.poll():
                self._take(self._pipe.recv())
        except (EOFError, OSError):
            self._died()

    def _take(self, message: Started | Failed | Step) -> None:
        if isinstance(message, Step):
            self._step(message)
        elif not self._started.done():
            if isinstance(message, Failed):
                self._started.set_exception(LoadlabError(message.message))
            else:
                self._started.set_result(message)

    def _step(self, step: Step) -> None:
        self._load = step.load
        for job_id, at_ns in step.admitted:
            if opened := self._open.get(job_id):
                opened.sink.admitted(at_ns)
        for output in step.outputs:
            if opened := self._open.get(output.id):
                self._output(opened, output)

    def _output(self, opened: _Open, output: Output) -> None:
        text = opened.text.push(output.token, last=output.finish is not None)
        finish: Finish | None = "stop" if opened.text.stopped else output.finish
        if finish:
            del self._open[output.id]
        if finish and not output.finish:  # a stop text: only this side could see it
            self._outbox.put(output.id)
        opened.sink.push(text, 1, finish)

    def _died(self) -> None:
        self._hang_up()
        self._trouble = "the engine process ended unexpectedly; its stderr says why. Restart the server."
        self._load = Load()
        if not self._started.done():
            self._started.set_exception(LoadlabError(self._trouble))
        self._fail_open(self._trouble)

    def _fail_open(self, message: str) -> None:
        for opened in self._open.values():
            opened.sink.fail(message)
        self._open.clear()

    def _hang_up(self) -> None:
        if not self._pipe.closed:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()


def _tokeniser(started: Started) -> Tokeniser:
    return BpeTokeniser(started.tokeniser) if started.tokeniser else ByteTokeniser()


def _post(outbox: queue.SimpleQueue[schedule.Sequence | str | None], pipe: Connection) -> None:
    """Sends from a thread: a full pipe must not hold up the event loop."""
    try:
        while (message := outbox.get()) is not None:
            pipe.send(message)
    except OSError:
        return  # the engine is gone; the reading side reports it
