"""The engine process: takes jobs from a pipe, steps, answers with one message per step.

It has its own process because torch gives up and retakes the GIL hundreds of times a step: beside a busy
event loop the same engine runs at half the speed. It knows no HTTP and no text, only token ids.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from loadlab.core.clock import now_ns
from loadlab.core.errors import LoadlabError
from loadlab.server.job import Load
from loadlab.server.schedule import BLOCK, Blocks, Chunk, Output, Runner, Scheduler, Sequence, needed

if TYPE_CHECKING:
    import torch

    from loadlab.server.model import Llama
    from loadlab.server.weights import Weights

_CPU_POOL_TOKENS = 65_536  # 1.5 GB for SmolLM2, touched only as it fills
# OpenMP threads spin for each other at every one of a step's ~250 operations: with one more busy process on
# the machine a step took 50 times longer. Sleeping at once doubles an undisturbed step; this many
# turns cost 10 %.
_SPINS = "1000"
_NICE = 5  # on a shared machine whoever writes tokens out, or measures them, must wake at once
_CUDA_POOL_SHARE = 0.8  # of the memory that is free once the weights are there


@dataclass(frozen=True, slots=True)
class Options:
    """How the engine process is to be set up; zeros mean its own choice."""

    model: str
    device: str = "auto"
    threads: int = 0
    max_num_seqs: int = 64
    budget: int = 512
    context: int = 0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Started:
    """First message of the process: what it serves."""

    device: str
    context: int
    vocabulary: int
    tokeniser: Path | None


@dataclass(frozen=True, slots=True)
class Failed:
    """First message of a process that could not start."""

    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: requests that left the queue with the instant, tokens, and the load after it."""

    admitted: list[tuple[str, int]]
    outputs: list[Output]
    load: Load


def main(pipe: Connection, options: Options) -> None:
    """Entry point of the process. It ends when the other end of the pipe does."""
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)  # read when torch is imported
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us too; the HTTP process decides
    try:
        loop = _start(pipe, options)
    except LoadlabError as error:
        pipe.send(Failed(str(error)))
        return
    try:
        loop.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


class Loop:
    """Polls the pipe between steps; sleeps in it when there is nothing to do."""

    def __init__(self, pipe: Connection, scheduler: Scheduler, runner: Runner) -> None:
        self._pipe, self._scheduler, self._runner = pipe, scheduler, runner

    def run(self) -> None:
        """Until the pipe closes: EOFError or BrokenPipeError."""
        while True:
            while self._pipe.poll(0 if self._scheduler.busy else None):
                self._take(self._pipe.recv())
            self._step()

    def _take(self, message: Sequence | str) -> None:
        if isinstance(message, Sequence):
            self._scheduler.add(message)
            return
        self._scheduler.abort(message)
        if not self._scheduler.busy:
            self._pipe.send(Step([], [], self._scheduler.load()))

    def _step(self) -> None:
        plan = self._scheduler.plan()
        admitted = [(chunk.sequence.id, now_ns()) for chunk in plan if _newly_admitted(chunk)]
        outputs = self._scheduler.advance(plan, self._runner.step(plan))
        self._pipe.send(Step(admitted, outputs, self._scheduler.load()))


def _newly_admitted(chunk: Chunk) -> bool:
    new = not chunk.sequence.admitted
    chunk.sequence.admitted = True
    return new


def _start(pipe: Connection, options: Options) -> Loop:
    import torch

    from loadlab.server import weights
    from loadlab.server.runner import TorchRunner

    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    device = _device(options.device)
    loaded = weights.load(options.model, options.seed)
    context = _context(options.context, loaded.config.context)
    model = place(loaded, device, max_num_seqs=options.max_num_seqs, context=context)
    blocks = Blocks(model.blocks)
    end = loaded.config.end
    scheduler = Scheduler(blocks, max_num_seqs=options.max_num_seqs, budget=options.budget, end=end)
    runner = TorchRunner(model)
    _warm(runner, blocks)
    pipe.send(Started(_describe(device), context, loaded.config.vocabulary, loaded.tokeniser))
    return Loop(pipe, scheduler, runner)


def _device(asked: str) -> str:
    import torch

    if asked == "cuda" and not torch.cuda.is_available():
        raise LoadlabError("--device cuda: torch sees no CUDA GPU here; use --device cpu or auto.")
    return "cuda" if asked != "cpu" and torch.cuda.is_available() else "cpu"


def _describe(device: str) -> str:
    import torch

    return f"cuda ({torch.cuda.get_device_name()})" if device == "cuda" else "cpu"


def _context(asked: int, own: int) -> int:
    if asked > own:
        raise LoadlabError(
            f"--max-model-len {asked} is more than the model's own context of {own}; ask for less."
        )
    return asked or own


def place(loaded: Weights, device: str, *, max_num_seqs: int, context: int) -> Llama:
    """The model on its device with a KV pool that holds at least one whole context."""
    import torch

    from loadlab.server.model import Llama

    tensors = {name: tensor.to(device, _dtype(tensor, device)) for name, tensor in loaded.tensors.items()}
    config, size = loaded.config, tensors["embed"].element_size()
    token_bytes = 2 * config.layers * config.kv_heads * config.head_dim * size
    affordable = _CPU_POOL_TOKENS
    if device == "cuda":
        affordable = int(torch.cuda.mem_get_info()[0] * _CUDA_POOL_SHARE) // token_bytes
    tokens = max(context + BLOCK, min(max_num_seqs * (context + BLOCK), affordable))
    return Llama(config, tensors, needed(tokens) + 1)


def _dtype(tensor: torch.Tensor, device: str) -> torch.dtype:
    """As stored, but float32 on a CPU that has no bf16 arithmetic."""
    import torch

    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    if device == "cpu" and not supported():
        return torch.float32
    return tensor.dtype


def _warm(runner: Runner, blocks: Blocks) -> None:
    """The first passes set up kernels and memory; let them not be a user's."""
    from loadlab.server.job import Sampling

    probe = Sequence("warm-up", [0] * 32, 4, Sampling())
    blocks.grow(probe, 64)
    runner.step([Chunk(probe, 0, 32, True)])
    probe.tokens += [0] * 3
    for at in range(32, 35):
        runner.step([Chunk(probe, at, 1, True)])
    blocks.release(probe)
