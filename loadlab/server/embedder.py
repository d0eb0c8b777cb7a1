"""The embedding model in a process of its own, started when it is first asked. Knows pipes, no HTTP.

Asked in the HTTP process it would stop every stream while it computes. One request is computed at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from loadlab.core.errors import LoadlabError
from loadlab.server.job import EngineError

MODEL = "all-minilm-l6-v2"
Embeddings = tuple[list[list[float]], list[int]]
_END_GRACE_S = 2.0
_NICE = 5  # behind whoever writes tokens out


class Embedder:
    """Texts to vectors. After a crash of its process the next request starts a new one."""

    def __init__(self, threads: int = 0) -> None:
        """`threads` 0 means one per core."""
        self._threads = threads
        self._line: ThreadPoolExecutor | None = None
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    async def start(self) -> None:
        """Loads the model, fetching it at first use. Raises EngineError 503 when it cannot be had."""
        await self.embed([])

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """A vector for every text, and how many tokens were read of each. Raises EngineError 503."""
        if self._line is None:  # one thread: requests wait for each other, and the event loop for none
            self._line = ThreadPoolExecutor(1, "embedder")
        return await asyncio.get_running_loop().run_in_executor(self._line, self._ask, list(texts))

    async def stop(self) -> None:
        """Ends the process; requests under way fail."""
        if self._process is not None:
            self._process.terminate()
        if self._line is not None:
            line, self._line = self._line, None
            await asyncio.to_thread(line.shutdown, cancel_futures=True)
        self._forget()

    def _ask(self, texts: list[str]) -> Embeddings:
        pipe = self._pipe or self._begin()
        try:
            pipe.send(texts)
            answer: Embeddings = pipe.recv()
        except (EOFError, OSError) as error:
            self._forget()
            raise EngineError(
                "The embedding process ended while it computed; its stderr says why. Ask again.", 503
            ) from error
        return answer

    def _begin(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # torch and our threads would not survive a fork
        pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._threads), daemon=True)
        self._process.start()
        theirs.close()
        try:
            trouble: str | None = pipe.recv()
        except (EOFError, OSError):
            trouble = "the embedding process ended as it started; its stderr says why."
        if trouble:
            self._forget()
            raise EngineError(trouble, 503)
        self._pipe = pipe
        return pipe

    def _forget(self) -> None:
        process, self._process, self._pipe = self._process, None, None
        if process is not None:
            process.terminate()
            process.join(_END_GRACE_S)


def _serve(pipe: Connection, threads: int) -> None:
    """Entry point of the process: None when ready or words why not, then an answer for every request."""
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the HTTP process decides
    import torch

    from loadlab.server.encoder import Encoder

    torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
    try:
        encoder = Encoder()
    except LoadlabError as error:
        pipe.send(str(error))
        return
    pipe.send(None)
    try:
        while True:
            pipe.send(encoder(pipe.recv()))
    except (EOFError, OSError):
        return  # the other end is gone
