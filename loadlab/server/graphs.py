"""Steps of single tokens at fixed batch sizes, replayed as CUDA graphs: one launch instead of hundreds.

A step is padded to the next size with sequences that are nobody's: token 0 at position 0 in block 0. Without
a GPU the same padded steps run eagerly, which is how their arithmetic is tested.
"""

from __future__ import annotations

import bisect
from typing import Any

import torch
from torch import Tensor

from loadlab.server.attention import Paged
from loadlab.server.model import Batch, Llama

_WARM_UPS = 2  # runs before capture: kernels are compiled and libraries set up outside the graph


class Graphs:
    """One graph per batch size, made at start; all of them read `tables` [rows, blocks]."""

    def __init__(self, model: Llama, tables: Tensor, largest: int) -> None:
        self._sizes = sizes(largest)
        self._memory = torch.cuda.graph_pool_handle() if model.device.type == "cuda" else None
        self._steps = {size: _Fixed(model, tables, size, self._memory) for size in reversed(self._sizes)}

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [n, vocabulary] and likeliest tokens [n] for `inputs` [≥ 4, n]; valid until the next run."""
        count = inputs.shape[1]
        step = self._steps[self._sizes[bisect.bisect_left(self._sizes, count)]]
        step.run(inputs[:4])
        return step.logits[:count], step.best[:count]


def sizes(largest: int) -> list[int]:
    """The batch sizes that get a graph: close together where padding would cost most."""
    steps = [1, 2, 4, *range(8, 64, 8), *range(64, 256, 32), *range(256, largest, 64)]
    return [*(size for size in steps if size < largest), largest]


class _Fixed:
    """A step of `size` single tokens. Token, position, slot and table row of each lie in `_inputs`."""

    def __init__(self, model: Llama, tables: Tensor, size: int, memory: Any) -> None:
        self._model = model
        self._inputs = torch.zeros((4, size), dtype=torch.int64, device=model.device)
        tokens, positions, slots, rows = self._inputs.unbind(0)
        self._batch = Batch(tokens, positions, slots, [Paged(size, tables, rows, positions)], None)
        self._graph = self._captured(memory) if memory else None

    def run(self, inputs: Tensor) -> None:
        """Computes the step; `inputs` may be fewer than `size`, and may lie on the host."""
        count = inputs.shape[1]
        self._inputs[:, :count].copy_(inputs, non_blocking=True)
        self._inputs[:, count:].zero_()
        if self._graph:
            self._graph.replay()
        else:
            self._compute()

    def _compute(self) -> None:
        self.logits = self._model(self._batch)
        self.best = self.logits.argmax(-1)

    def _captured(self, memory: Any) -> torch.cuda.CUDAGraph:
        aside: torch.cuda.Stream = torch.cuda.Stream(self._model.device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(self._model.device))
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._compute()
        torch.cuda.current_stream(self._model.device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph, pool=memory):
            self._compute()
        return graph
