"""What the runner remembers of each sequence between steps, as arrays: its blocks and its wishes.

At hundreds of sequences a step must not walk through them in Python. A sequence keeps its row while it runs;
only what has changed since is written again. Knows no torch.
"""

from __future__ import annotations

from collections.abc import Sequence as Row

import numpy as np

from loadlab.server.plan import Sequence
from loadlab.server.sampling import WISH, Ints, wish


class Rows:
    """Rows for up to `count` sequences of `width` blocks. Row 0 is nobody's: padding looks into block 0."""

    def __init__(self, count: int, width: int) -> None:
        self.tables = np.zeros((count + 1, width), np.int32)
        self.wishes = np.zeros(count + 1, WISH)
        self.changed: set[int] = set()  # rows of `tables` written since a copy elsewhere was made
        self._lengths = np.zeros(count + 1, np.int64)
        self._lists = np.zeros(count + 1, np.int64)
        self._kept: list[list[int]] = [
            [] for _ in range(count + 1)
        ]  # alive, so that no other list gets its id
        self._places: dict[Sequence, int] = {}
        self._free = list(range(count, 0, -1))

    def of(self, sequences: Row[Sequence]) -> Ints:
        """The row of each sequence, its table up to date."""
        if new := [sequence for sequence in sequences if sequence not in self._places]:
            self._admit(new, sequences)
        count = len(sequences)
        rows = np.fromiter(map(self._places.__getitem__, sequences), np.int64, count)
        lists = [sequence.blocks for sequence in sequences]
        lengths = np.fromiter(map(len, lists), np.int64, count)
        ids = np.fromiter(map(id, lists), np.int64, count)
        stale = (lengths != self._lengths[rows]) | (ids != self._lists[rows])
        for place in np.flatnonzero(stale):
            self._write(int(rows[place]), lists[place])
        return rows

    def slots(self, rows: Ints, positions: Ints, block: int) -> Ints:
        """The pool slots of tokens at `positions` of the sequences in `rows`."""
        slots: Ints = self.tables[rows, positions // block].astype(np.int64) * block + positions % block
        return slots

    def _admit(self, new: Row[Sequence], present: Row[Sequence]) -> None:
        if len(new) > len(self._free):  # nobody says when a sequence ends: those not in this step give way
            here = set(present)
            for gone in [sequence for sequence in self._places if sequence not in here]:
                self._free.append(self._places.pop(gone))
        for sequence in new:
            row = self._places[sequence] = self._free.pop()
            self.wishes[row] = wish(sequence.sampling)
            self._write(row, sequence.blocks)

    def _write(self, row: int, blocks: list[int]) -> None:
        self.tables[row, : len(blocks)] = blocks
        self._lengths[row], self._lists[row], self._kept[row] = len(blocks), id(blocks), blocks
        self.changed.add(row)
