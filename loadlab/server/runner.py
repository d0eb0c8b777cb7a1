"""Turns a plan into tokens on a device: the scheduler decides, this computes."""

from __future__ import annotations

from collections.abc import Sequence as Row
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loadlab.server.job import Choice
from loadlab.server.model import Batch, Group, Llama
from loadlab.server.sampling import Pick, choose
from loadlab.server.schedule import BLOCK, Chunk, Sequence, needed

Ints = NDArray[np.int64]


class TorchRunner:
    """Runs a model with torch on CPU or CUDA, eagerly; no drafts yet."""

    def __init__(self, model: Llama) -> None:
        self._model = model

    def step(self, plan: Row[Chunk]) -> list[list[Choice]]:
        """See schedule.Runner."""
        singles = [chunk for chunk in plan if chunk.count == 1]
        order = singles + [chunk for chunk in plan if chunk.count > 1]
        asked = [chunk for chunk in order if chunk.samples]
        logits = self._model(self._batch(order, singles))
        picks = [Pick(chunk.sequence.sampling, chunk.sequence.generated) for chunk in asked]
        chosen = dict(zip(map(id, asked), choose(logits, picks, self._model.config.end), strict=True))
        return [[Choice(chosen[id(chunk)])] if chunk.samples else [] for chunk in plan]

    def _batch(self, order: Row[Chunk], singles: Row[Chunk]) -> Batch:
        ends = np.cumsum([chunk.count for chunk in order])
        groups = [self._singles(singles)] if singles else []
        groups += [
            self._span(chunk, int(end) - chunk.count)
            for chunk, end in zip(order, ends, strict=True)
            if chunk.count > 1
        ]
        slots = [_slots(chunk.sequence, chunk.start, chunk.start + chunk.count) for chunk in order]
        return Batch(
            tokens=self._put([t for c in order for t in c.sequence.tokens[c.start : c.start + c.count]]),
            positions=self._put(np.concatenate([np.arange(c.start, c.start + c.count) for c in order])),
            slots=self._put(np.concatenate(slots)),
            groups=groups,
            wanted=self._put([int(end) - 1 for chunk, end in zip(order, ends, strict=True) if chunk.samples]),
        )

    def _singles(self, chunks: Row[Chunk]) -> Group:
        """All sequences with one new token, side by side; the shorter ones padded with block 0."""
        length = max(chunk.start for chunk in chunks) + 1
        tables = np.zeros((len(chunks), needed(length)), np.int64)
        for row, chunk in enumerate(chunks):
            blocks = chunk.sequence.blocks[: tables.shape[1]]
            tables[row, : len(blocks)] = blocks
        slots = (tables[..., None] * BLOCK + np.arange(BLOCK)).reshape(len(chunks), -1)[:, :length]
        starts = np.array([chunk.start for chunk in chunks])
        mask = np.arange(length) <= starts[:, None]
        return Group(0, len(chunks), 1, self._put(slots), self._put(mask)[:, None, None])

    def _span(self, chunk: Chunk, at: int) -> Group:
        """One sequence with several new tokens, each seeing what came before it."""
        end = chunk.start + chunk.count
        mask = np.arange(end) <= np.arange(chunk.start, end)[:, None]
        slots = _slots(chunk.sequence, 0, end)
        return Group(at, 1, chunk.count, self._put(slots)[None], self._put(mask)[None, None])

    def _put(self, values: Any) -> Tensor:
        array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else np.int64)
        return torch.from_numpy(array).to(self._model.device, non_blocking=True)


def _slots(sequence: Sequence, start: int, end: int) -> Ints:
    """The pool slots of the sequence's tokens `start` to `end`."""
    positions = np.arange(start, end)
    return np.asarray(sequence.blocks, np.int64)[positions // BLOCK] * BLOCK + positions % BLOCK
