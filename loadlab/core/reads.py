"""What arrived on one connection and when: every read of a body, kept in three flat buffers.

A tuple and a bytes object per token would cost 130 bytes each and be scattered over the heap; walking them
again, when the memory has gone cold, took longer than receiving them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

READ_COST_BYTES = 16  # a stamp and an end, with their share of room to grow


class Reads:
    """Reads as (ns, bytes), in the order they came."""

    __slots__ = ("_body", "_ends", "_stamps")

    def __init__(self, reads: Iterable[tuple[int, bytes]] = ()) -> None:
        self._body, self._ends, self._stamps = bytearray(), array("I"), array("q")
        for at_ns, data in reads:
            self.add(at_ns, data)

    def add(self, at_ns: int, data: bytes) -> int:
        """Keeps one read; returns what all of them take in memory, in bytes."""
        self._body += data
        end = len(self._body)
        self._ends.append(end)
        self._stamps.append(at_ns)
        return end + READ_COST_BYTES * len(self._ends)

    @property
    def size(self) -> int:
        """Bytes read."""
        return len(self._body)

    @property
    def last_ns(self) -> int:
        """When the last read came."""
        return self._stamps[-1]

    def head(self, size: int) -> bytes:
        """The first bytes of the body."""
        return bytes(self._body[:size])

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        body, start = bytes(self._body), 0
        for at_ns, end in zip(self._stamps, self._ends, strict=True):
            yield at_ns, body[start:end]
            start = end

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reads) and self.packed() == other.packed()

    def packed(self) -> tuple[bytes, bytes, bytes]:
        """The three buffers, for `unpacked`."""
        return self._stamps.tobytes(), self._ends.tobytes(), bytes(self._body)

    @classmethod
    def unpacked(cls, stamps: bytes, ends: bytes, body: bytes) -> Reads:
        """The inverse of `packed`, on the same machine."""
        reads = cls()
        reads._stamps.frombytes(stamps)
        reads._ends.frombytes(ends)
        reads._body += body
        return reads
