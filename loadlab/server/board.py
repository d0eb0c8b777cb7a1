"""Numbers that several front processes share: one row of cells for each process, summed when they are read.

Every process writes to its own row only, so nothing is locked; cells are aligned, so nothing is torn.
"""

from __future__ import annotations

from array import array
from multiprocessing.context import BaseContext
from typing import Any, TypeAlias

Cells: TypeAlias = "memoryview[float]"  # doubles: exact for counts up to 2**53


class Board:
    """`rows` of `width` cells each, of which this process writes `mine`."""

    def __init__(self, memory: Any, rows: int, mine: int = 0) -> None:
        self._memory, self._rows, self._mine = memory, rows, mine
        cells = memoryview(memory).cast("B").cast("d")
        width = len(cells) // rows
        self.rows = [cells[at : at + width] for at in range(0, rows * width, width)]

    @property
    def mine(self) -> Cells:
        """The row of this process."""
        return self.rows[self._mine]

    def seen_by(self, front: int) -> Board:
        """The same board for another process; only to be handed over as that process is started."""
        return Board(self._memory, self._rows, front)

    def total(self, start: int, stop: int) -> Cells:
        """The sums over all rows of the cells from `start` to before `stop`."""
        columns = zip(*(row[start:stop] for row in self.rows), strict=True)
        return memoryview(array("d", map(sum, columns)))

    def __reduce__(self) -> tuple[type[Board], tuple[Any, int, int]]:
        return Board, (self._memory, self._rows, self._mine)


def private(width: int) -> Board:
    """A board of one row that only this process sees."""
    return Board(array("d", bytes(8 * width)), 1)


def shared(width: int, rows: int, context: BaseContext) -> Board:
    """A board that processes started from `context` see too."""
    return Board(context.RawArray("d", width * rows), rows)
