"""The HTTP side of the engine process: sends jobs, turns its tokens into text, outlives its death."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from loadlab.core.errors import LoadlabError
from loadlab.server import plan
from loadlab.server.engine import Options
from loadlab.server.job import Choice, Counts, EngineError, Finish, Job, Load, Sink, Turn
from loadlab.server.messages import Change, FromEngine, Piece, Started, Step, Switched, ToEngine
from loadlab.server.supervision import Line, OwnProcess, Patience
from loadlab.server.switches import Switches
from loadlab.server.text import Detokeniser, Tokeniser, tokeniser

_ENDED = "the engine process ended unexpectedly; its stderr says why"
_Outbox = queue.SimpleQueue[ToEngine | None]


@dataclass(slots=True)
class _Open:
    sink: Sink
    text: Detokeniser


class TorchEngine:
    """A real model in its own process; see `job.Engine`. `line` reaches one that is not our child."""

    name = "torch"

    def __init__(self, options: Options, line: Line | None = None) -> None:
        self.model, self.device, self.context = options.model, options.device, options.context
        self._options, self._line = options, line or OwnProcess(options)
        self._switches = options.switches()
        self._open: dict[str, _Open] = {}
        self._load, self._before = Load(), Counts()
        self._trouble: str | None = "the engine has not started"
        self._pipe: Connection | None = None
        self._outbox = _Outbox()
        self._patience = Patience()
        self._serves = False
        self._restarting: asyncio.Task[None] | None = None
        self._switching: dict[int, asyncio.Future[None]] = {}
        self._changes = 0

    @property
    def open_jobs(self) -> int:
        """Jobs taken and not ended."""
        return len(self._open)

    @property
    def places(self) -> int:
        """See `job.Engine`."""
        return self._switches.max_num_seqs

    async def start(self) -> None:
        print(f"starting the torch engine with {self.model}", file=sys.stderr, flush=True)
        await self._connect()

    async def stop(self) -> None:
        self._trouble = "the server is shutting down"
        self._fail_open(self._trouble)
        if self._restarting:
            self._restarting.cancel()
        self._hang_up()
        self._line.close()

    def encode(self, text: str) -> list[int]:
        return self._tokeniser.encode(text)

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        return self._tokeniser.encode_chat(turns)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        return [self._tokeniser.pieces[token] for token in tokens]

    def submit(self, job: Job, sink: Sink) -> None:
        if self._trouble:
            raise EngineError(self._trouble, 503)
        pieces, room = self._tokeniser.pieces, self.context - len(job.prompt)
        if strange := [token for token in job.prompt if token >= len(pieces)]:
            raise EngineError(f"token id {strange[0]} is not in the vocabulary of {len(pieces)}.", 400)
        if room < 1:
            words = f"A prompt of {len(job.prompt)} tokens leaves no room in the context of {self.context}."
            raise EngineError(words, 400)
        sampling = job.sampling
        limit = min(sampling.max_tokens or room, room)
        self._open[job.id] = _Open(sink, Detokeniser(pieces, sampling.stop, sampling.min_tokens))
        self._outbox.put(plan.Sequence(job.id, list(job.prompt), limit, sampling, job.priority))

    def abort(self, job_id: str) -> None:
        if self._open.pop(job_id, None):
            self._outbox.put(job_id)

    def load(self) -> Load:
        return replace(self._load, counts=self._before + self._load.counts)

    def trouble(self) -> str | None:
        return self._trouble

    def settings(self) -> dict[str, Any]:
        return self._switches.document(self._fixed())

    async def configure(self, changes: Mapping[str, Any]) -> None:
        self._judge(self._switches.changed(changes, self._fixed()))
        if self._trouble:
            raise EngineError(self._trouble, 503)
        await self._change(changes)

    def report(self, query: Mapping[str, str]) -> bytes | None:
        return None

    def _fixed(self) -> dict[str, Any]:
        """The techniques that need a restart."""
        options, started = self._options, self._started
        names = ("quant", "dtype", "draft_model", "cuda_graphs", "compile")
        pool = {"block_size": started.block, "num_blocks": started.blocks, "max_model_len": started.context}
        return {name: getattr(options, name) for name in names} | pool

    def _judge(self, wanted: Switches) -> None:
        """Raises EngineError 400 for what this engine was not set up for."""
        if wanted.max_num_seqs > (most := self._options.max_num_seqs):
            raise EngineError(f"max_num_seqs can be at most {most}, with which the server was started.", 400)
        if wanted.speculate == "draft" and not self._options.draft_model:
            raise EngineError("speculate 'draft' needs a server started with a draft model.", 400)

    async def _change(self, changes: Mapping[str, Any]) -> None:
        self._changes += 1
        done = self._switching[self._changes] = asyncio.get_running_loop().create_future()
        self._outbox.put(Change(self._changes, changes))
        await done

    async def _connect(self) -> None:
        """Reaches an engine process. Raises LoadlabError when it does not start."""
        loop = asyncio.get_running_loop()
        self._starting: asyncio.Future[Started] = loop.create_future()
        self._pipe, self._outbox = await self._line.open(), _Outbox()
        loop.add_reader(self._pipe.fileno(), self._read, self._pipe)
        threading.Thread(target=_post, args=(self._outbox, self._pipe), daemon=True).start()
        started = self._started = await self._starting
        self.device, self.context = started.device, started.context
        self._tokeniser: Tokeniser = tokeniser(started.tokeniser)
        if started.switches != self._switches:  # what was switched before a restart is to stay so
            await self._change(asdict(self._switches))
        self._patience.begun()
        self._trouble, self._serves = None, True

    def _read(self, pipe: Connection) -> None:
        try:
            while pipe.poll():
                self._take(pipe.recv())
        except (EOFError, OSError):
            self._died()

    def _take(self, message: FromEngine) -> None:
        if isinstance(message, Step):
            self._step(message)
        elif isinstance(message, Switched):
            self._switches = message.switches
            if done := self._switching.pop(message.number, None):
                done.set_result(None)
        elif isinstance(message, Started):
            self._starting.set_result(message)
        else:
            self._starting.set_exception(LoadlabError(message.message))

    def _step(self, step: Step) -> None:
        self._load = step.load
        for job_id, at_ns, cached in step.admitted:
            if opened := self._open.get(job_id):
                opened.sink.admitted(at_ns)
                opened.sink.cached(cached)
        for piece in step.pieces:
            if opened := self._open.get(piece[0]):
                self._piece(opened, piece, step.choices.get(piece[0], ()))
        for job_id, message in step.failed:
            if failed := self._open.pop(job_id, None):
                failed.sink.fail(message)

    def _piece(self, opened: _Open, piece: Piece, choices: Sequence[Choice]) -> None:
        job_id, tokens, ended = piece
        text, count = "", 0
        for count, token in enumerate(tokens, 1):
            text += opened.text.push(token, ended is not None and count == len(tokens))
            if opened.text.stopped:
                break
        finish: Finish | None = "stop" if opened.text.stopped else ended
        if finish:
            del self._open[job_id]
        if finish and not ended:  # a stop text: only this side could see it
            self._outbox.put(job_id)
        if opened.text.stopped:
            opened.sink.stopped(opened.text.stopped)
        opened.sink.push(text, count, finish, choices[:count])

    def _died(self) -> None:
        self._hang_up()
        if not self._starting.done():
            self._starting.set_exception(LoadlabError(f"{_ENDED}."))
        while self._switching:
            self._switching.popitem()[1].set_exception(EngineError(f"{_ENDED}.", 503))
        if self._serves:
            self._begin_again()

    def _begin_again(self) -> None:
        self._trouble, self._serves = f"restarting: {_ENDED}", False
        self._before, self._load = self._before + self._load.counts + Counts(restarts=1), Load()
        self._fail_open(f"{_ENDED}. It is started again: ask again in a moment.")
        self._restarting = asyncio.get_running_loop().create_task(self._restart())

    async def _restart(self) -> None:
        """Until an engine runs, or it has become clear that none will."""
        reason = _ENDED
        while (pause_s := self._patience.pause_s()) is not None:
            await asyncio.sleep(pause_s)
            print(f"{reason}; starting it again", file=sys.stderr, flush=True)
            try:
                await self._connect()
            except LoadlabError as error:
                reason = str(error)
                self._trouble = f"restarting: {reason}"
            else:
                return
        self._trouble = f"the engine was started again in vain, the last time: {reason}. Restart the server."

    def _fail_open(self, message: str) -> None:
        for opened in self._open.values():
            opened.sink.fail(message)
        self._open.clear()

    def _hang_up(self) -> None:
        self._outbox.put(None)
        if self._pipe and not self._pipe.closed:
            asyncio.get_running_loop().remove_reader(self._pipe.fileno())
            self._pipe.close()


def _post(outbox: _Outbox, pipe: Connection) -> None:
    """Sends from a thread: a full pipe must not hold up the event loop."""
    try:
        while (message := outbox.get()) is not None:
            pipe.send(message)
    except OSError:
        return  # the engine is gone; the reading side reports it
