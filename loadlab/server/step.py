"""One step as arrays: a plan laid out as a flat row of tokens, and its choices sorted back. No torch here."""

from __future__ import annotations

from collections.abc import Sequence as Row
from itertools import pairwise

import numpy as np

from loadlab.server.job import Choice
from loadlab.server.plan import Chunk
from loadlab.server.rows import Rows
from loadlab.server.sampling import Ints

_SHORT = 256  # pasts up to here are looked at together; longer ones with those less than twice as long


class Step:
    """A plan, its chunks ordered by how many tokens they compute, single tokens first.

    `inputs` is everything the device must be told, one column per token: its id, position, pool slot and
    table row, and in the last line the tokens whose logits are `wanted`. `rows`, `starts` and `widths` are
    per chunk, `wishes` and `index` (which token of its answer it is) per choice.
    """

    def __init__(self, plan: Row[Chunk], rows: Rows, block: int) -> None:
        _, starts, counts, samples, drafts = zip(*plan, strict=True)
        extra = np.fromiter(map(len, drafts), np.int64, len(plan))
        table = np.array([starts, counts + extra, np.where(samples, 1 + extra, 0)], np.int64)
        keys = _keys(table[0], table[1])
        order = np.argsort(keys, kind="stable")
        self._keys, self._order = keys[order], order.tolist()
        self.starts, self.widths, self._choices = table[:, order]
        self.ends = np.cumsum(self.widths)
        self.singles = int(np.searchsorted(self.widths, 1, side="right"))
        chunks = [plan[i] for i in self._order]
        sequences = [chunk.sequence for chunk in chunks]
        self.rows = rows.of(sequences)
        self._lay_out(_tokens(chunks, self.singles), rows, block)
        generated = np.array([len(sequence.tokens) - sequence.prompt for sequence in sequences])
        self.index = np.repeat(generated, self._choices) + self._offsets
        self.wishes = rows.wishes[np.repeat(self.rows, self._choices)]

    @property
    def every(self) -> bool:
        """Whether a choice is wanted after every token."""
        return len(self.wanted) == self.inputs.shape[1]

    def groups(self) -> list[slice]:
        """Chunks that are computed alike: equal widths, pasts of similar length."""
        edges = [0, *(np.flatnonzero(np.diff(self._keys)) + 1).tolist(), len(self._keys)]
        return [slice(begin, end) for begin, end in pairwise(edges)]

    def sorted_back(self, choices: list[Choice]) -> list[list[Choice]]:
        """The flat choices of the step per chunk, in the plan's order."""
        if len(choices) == len(self._order) and self._choices.max() == 1:
            parts = [[choice] for choice in choices]
        else:
            ends = [0, *np.cumsum(self._choices).tolist()]
            parts = [choices[begin:end] for begin, end in pairwise(ends)]
        back: list[list[Choice]] = [[]] * len(parts)
        for place, part in zip(self._order, parts, strict=True):
            back[place] = part
        return back

    def _lay_out(self, tokens: list[int], rows: Rows, block: int) -> None:
        positions = np.arange(len(tokens)) - np.repeat(self.ends - self.widths - self.starts, self.widths)
        owners = np.repeat(self.rows, self.widths)
        total, before = int(self._choices.sum()), np.cumsum(self._choices) - self._choices
        self._offsets: Ints = np.arange(total) - np.repeat(before, self._choices)
        self.wanted: Ints = np.repeat(self.ends - self._choices, self._choices) + self._offsets
        self.inputs = np.zeros((5, len(tokens)), np.int64)
        self.inputs[0], self.inputs[1] = tokens, positions
        self.inputs[2], self.inputs[3] = rows.slots(owners, positions, block), owners
        self.inputs[4, :total] = self.wanted


def _tokens(chunks: list[Chunk], singles: int) -> list[int]:
    """What the chunks compute, one after the other."""
    if singles == len(chunks):
        return [chunk.sequence.tokens[chunk.start] for chunk in chunks]
    return [
        token
        for sequence, start, count, _, draft in chunks
        for token in (*sequence.tokens[start : start + count], *draft)
    ]


def _keys(starts: Ints, widths: Ints) -> Ints:
    """Equal for chunks that can be computed together, and in the order of their widths."""
    length = np.maximum(starts + widths, _SHORT)
    size = np.ceil(np.log2(length)).astype(np.int64)
    size[(starts == 0) & (widths > 1)] = 0  # no past: no mask either
    keys: Ints = widths * 64 + size
    return keys
