"""The KV blocks: who holds which, and what is still in those that nobody holds.

A block that is full is known by a hash of its tokens and of all before them, so a request that begins as an
earlier one did takes over its blocks instead of computing them. Blocks given back keep what is in them until
they are needed, the one longest unused first. Knows token ids and block numbers, no tensors.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from hashlib import blake2b

from loadlab.server.plan import Sequence

BLOCK = 16  # tokens per block, unless told otherwise
_DIGEST_BYTES = 16


class Pool:
    """`count` blocks of `block` tokens. Block 0 is never given out: padding reads and writes there."""

    def __init__(self, count: int, block: int = BLOCK, *, caching: bool = True) -> None:
        self.total, self.block, self.caching = count - 1, block, caching
        self._holders = [0] * count
        self._blank = list(range(count - 1, 0, -1))
        self._kept: OrderedDict[int, None] = OrderedDict()  # held by nobody, but full; longest unused first
        self._known: dict[bytes, int] = {}
        self._content: dict[int, tuple[bytes, list[int]]] = {}

    @property
    def free(self) -> int:
        """Blocks that can be had."""
        return len(self._blank) + len(self._kept)

    @property
    def usage(self) -> float:
        """The share of the blocks that sequences hold, from 0 to 1."""
        return 1 - self.free / self.total

    def needed(self, tokens: int) -> int:
        """Blocks that hold `tokens`."""
        return -(-tokens // self.block)

    def grow(self, sequence: Sequence, tokens: int) -> bool:
        """Gives the sequence room for `tokens` in all; False, and nothing changed, when there is none."""
        missing = self.needed(tokens) - len(sequence.blocks)
        if missing > self.free:
            return False
        sequence.blocks += [self._take() for _ in range(missing)]
        return True

    def release(self, sequence: Sequence) -> None:
        """Takes all blocks of the sequence back; nothing of it counts as computed any more."""
        for block in reversed(sequence.blocks):  # so that the beginning, which others may share, goes last
            self._holders[block] -= 1
            if not self._holders[block]:
                self._put_back(block)
        sequence.blocks, sequence.computed, sequence.kept = [], 0, 0

    def adopt(self, sequence: Sequence) -> int:
        """Gives a sequence without blocks those that hold its beginning; returns how many tokens that is.

        Never the last token: it has to be computed for the next one to be chosen.
        """
        if not self.caching:
            return 0
        for index in range((len(sequence.tokens) - 1) // self.block):
            block = self._known.get(self._digest(sequence, index))
            if block is None or self._content[block][1] != self._tokens(sequence, index):
                break
            self._hold(block)
            sequence.blocks.append(block)
        sequence.kept = len(sequence.blocks)
        sequence.computed = sequence.kept * self.block
        return sequence.computed

    def keep(self, sequence: Sequence) -> None:
        """Makes the full blocks of the sequence known to those that come after; only while caching."""
        full = sequence.computed // self.block
        for index in range(sequence.kept, full):
            digest, block = self._digest(sequence, index), sequence.blocks[index]
            if digest not in self._known:  # two that computed the same at once: one of them is enough
                self._known[digest] = block
                self._content[block] = digest, self._tokens(sequence, index)
        sequence.kept = full

    def switch_caching(self, on: bool) -> None:
        """Turns the prefix cache on, or off and empties it."""
        self.caching = on
        if not on:
            self._blank += self._kept
            self._kept.clear()
            self._known.clear()
            self._content.clear()

    def _take(self) -> int:
        if self._blank:
            block = self._blank.pop()
        else:
            block, _ = self._kept.popitem(last=False)
            del self._known[self._content.pop(block)[0]]
        self._holders[block] = 1
        return block

    def _hold(self, block: int) -> None:
        if not self._holders[block]:
            del self._kept[block]
        self._holders[block] += 1

    def _put_back(self, block: int) -> None:
        if block in self._content:
            self._kept[block] = None
        else:
            self._blank.append(block)

    def _tokens(self, sequence: Sequence, index: int) -> list[int]:
        return sequence.tokens[index * self.block : (index + 1) * self.block]

    def _digest(self, sequence: Sequence, index: int) -> bytes:
        """The name of block `index`; kept with the sequence, because those that wait are asked every step."""
        digests = sequence.digests
        while len(digests) <= index:
            parent, tokens = digests[-1] if digests else b"", self._tokens(sequence, len(digests))
            digests.append(blake2b(parent + array("q", tokens).tobytes(), digest_size=_DIGEST_BYTES).digest())
        return digests[index]
