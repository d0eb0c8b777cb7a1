"""Times steps of the torch engine's runner: what the losses of a device are fitted to.

Steps of every kind: few and many streams, short and long contexts, prompts in pieces, both at once. No pipe
and no HTTP are in them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import median

from loadlab.server.engine import Options
from loadlab.server.fitting import Sample
from loadlab.server.job import Sampling
from loadlab.server.plan import Chunk, Runner, Sequence
from loadlab.server.setup import prepare
from loadlab.server.sim_runner import work_of

_STREAMS, _CONTEXTS = (1, 2, 4, 8, 16, 32, 64), (32, 128, 512, 1024)
_PIECES, _PASTS = (8, 32, 128, 256, 512), (0, 256, 1024)
_MIXED = ((4, 128), (8, 64), (8, 256), (16, 128))
_CONTEXT_OF_MIXED = 256


def timed_steps(options: Options, repeats: int = 5, told: Callable[[str], None] = print) -> list[Sample]:
    """The median time of each kind of step, in random order. Raises LoadlabError when there is no engine."""
    started, _, runner = prepare(options)
    rows = _Rows(options.max_num_seqs, started.blocks, started.block)
    plans = [plan for plan in (rows.plan(*kind) for kind in _kinds()) if plan]
    random.Random(0).shuffle(plans)
    told(f"{len(plans)} kinds of step on {started.device}, {repeats} times each")
    return [Sample(work_of(plan), _seconds(runner, plan, repeats)) for plan in plans]


def _kinds() -> list[tuple[int, int, int, int]]:
    """(streams, their context, new tokens of one prompt, those before them)."""
    return [
        *((streams, context, 0, 0) for streams in _STREAMS for context in _CONTEXTS),
        *((0, 0, tokens, past) for tokens in _PIECES for past in _PASTS),
        *((streams, _CONTEXT_OF_MIXED, tokens, 0) for streams, tokens in _MIXED),
    ]


class _Rows:
    """Hands out blocks and rows for one plan after the other, as far as they go."""

    def __init__(self, rows: int, blocks: int, block: int) -> None:
        self._rows, self._blocks, self._block = rows, blocks, block

    def plan(self, streams: int, context: int, tokens: int, past: int) -> list[Chunk] | None:
        """A plan of that kind; None where there is no room for it."""
        starts = [(context, 1)] * streams + [(past, tokens)] * bool(tokens)
        sizes = [-(-(start + count) // self._block) for start, count in starts]
        if len(starts) > self._rows or sum(sizes) > self._blocks:
            return None
        chunks, free = [], iter(range(1, self._blocks + 1))
        for row, ((start, count), size) in enumerate(zip(starts, sizes, strict=True)):
            held = [next(free) for _ in range(size)]
            sequence = Sequence(str(row), [1] * (start + count), 1, Sampling(), blocks=held)
            chunks.append(Chunk(sequence, start, count, True))
        return chunks


def _seconds(runner: Runner, plan: list[Chunk], repeats: int) -> float:
    runner.step(plan)  # the first of its kind sets up memory
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        runner.step(plan)
        times.append(time.perf_counter() - begun)
    return median(times)
