"""Turns a plan into tokens on a device: the scheduler decides, this computes.

A step is one flat row of tokens: single tokens first, then what is longer, equal lengths together. Everything
of it is worked out in arrays, and one array goes to the device.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Row
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loadlab.server.attention import Gathered, Group, Paged
from loadlab.server.graphs import Graphs
from loadlab.server.job import Choice
from loadlab.server.model import Batch, Llama
from loadlab.server.placement import memory_in_words
from loadlab.server.plan import Chunk
from loadlab.server.rows import Rows
from loadlab.server.sampling import choose, plain
from loadlab.server.step import Step

Array = NDArray[np.integer[Any]]
Result = Callable[[], list[list[Choice]]]


class TorchRunner:
    """Runs a model with torch on CPU or CUDA; see `plan.Runner`.

    `sequences` is the most that one plan may have. `kernel` reads single tokens' past with our own kernel
    instead of copying it; `graphs` also replays such steps as CUDA graphs. None means wherever the device
    can.
    """

    def __init__(
        self, model: Llama, sequences: int = 64, *, kernel: bool | None = None, graphs: bool | None = None
    ) -> None:
        self._model = model
        width = -(-model.config.context // model.block) + 1
        self._rows = Rows(sequences, width)
        on_gpu = model.device.type == "cuda"
        self._kernel = on_gpu and _has_triton() if kernel is None else kernel
        self._tables = torch.from_numpy(self._rows.tables).to(model.device)
        wanted = on_gpu if graphs is None else graphs
        self._graphs = Graphs(model, self._tables, sequences) if self._kernel and wanted else None

    @property
    def overlaps(self) -> bool:
        """Whether the device computes while Python goes on: work fits between `launch` and its result."""
        return self._model.device.type == "cuda"

    def step(self, plan: Row[Chunk]) -> list[list[Choice]]:
        """See plan.Runner. Raises LoadlabError when the device has no memory left for it."""
        return self.launch(plan)()

    def launch(self, plan: Row[Chunk]) -> Result:
        """Starts a step; calling what comes back waits for its end. LoadlabError: no memory for it."""
        with memory_in_words(self._model.device, "a step"):
            result = self._launch(Step(plan, self._rows, self._model.block))
        return lambda: self._wait(result)

    def _wait(self, result: Result) -> list[list[Choice]]:
        with memory_in_words(self._model.device, "choosing a step's tokens"):
            return result()

    def _launch(self, step: Step) -> Result:
        self._update_tables()
        simple = plain(step.wishes, step.index)
        inputs = self._put(step.inputs)
        if self._graphs and step.singles == len(step.rows):
            logits, best = self._graphs.run(inputs)
            if not (simple and step.every):
                wanted = inputs[4, : len(step.wanted)]
                logits, best = logits[wanted], best[wanted]
        else:
            logits = self._model(self._batch(step, inputs))
            best = logits.argmax(-1) if simple else logits
        if simple:
            return lambda: step.sorted_back(list(map(Choice, best.tolist())))
        return lambda: step.sorted_back(choose(logits, step.wishes, step.index, self._model.config.end))

    def _update_tables(self) -> None:
        """On CPU the table that the device sees is the very same memory."""
        changed, self._rows.changed = sorted(self._rows.changed), set()
        if changed and self._model.device.type != "cpu":
            self._tables[self._put(np.array(changed))] = self._put(self._rows.tables[changed])

    def _batch(self, step: Step, inputs: Tensor) -> Batch:
        tokens, positions, slots, rows, wanted = inputs.unbind(0)
        groups: list[Group] = []
        for chunks in step.groups():
            if self._kernel and chunks.start < step.singles:
                continue
            groups.append(self._gathered(step, chunks, positions))
        if self._kernel and step.singles:
            groups.insert(0, Paged(step.singles, self._tables, rows, positions))
        return Batch(tokens, positions, slots, groups, None if step.every else wanted[: len(step.wanted)])

    def _gathered(self, step: Step, chunks: slice, positions: Tensor) -> Gathered:
        count, width = chunks.stop - chunks.start, int(step.widths[chunks.start])
        blocks = -(-int((step.starts[chunks] + width).max()) // self._model.block)
        tables = self._put(self._rows.tables[step.rows[chunks], :blocks])
        begin = int(step.ends[chunks.start]) - width
        mask = None
        if width == 1 or step.starts[chunks].any():
            seen = positions[begin : begin + count * width].view(count, width, 1)
            mask = torch.arange(blocks * self._model.block, device=positions.device) <= seen
        return Gathered(begin, count, width, tables, mask)

    def _put(self, array: Array) -> Tensor:
        tensor = torch.from_numpy(array)
        if self._model.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self._model.device, non_blocking=True)


def _has_triton() -> bool:
    return find_spec("triton") is not None
