"""Who computes what in the next step: pure Python, no torch, no clock.

One rule: every sequence wants its tokens computed, `len(tokens) - computed` of them, and a step has one
budget. Single tokens (decodes) come first, then running prefills, then new requests. Out of blocks, the
newest sequence gives its blocks back and is computed again later; so nothing is ever reserved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence as Row
from dataclasses import dataclass, field
from typing import Protocol

from loadlab.server.job import Choice, Finish, Load, Sampling

BLOCK = 16  # tokens per KV block


@dataclass(slots=True, eq=False)
class Sequence:
    """One request inside the engine. `computed` tokens have their keys and values in `blocks`."""

    id: str
    tokens: list[int]
    limit: int
    sampling: Sampling
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    admitted: bool = False
    prompt: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt = len(self.tokens)

    @property
    def generated(self) -> int:
        """How many tokens of the answer exist."""
        return len(self.tokens) - self.prompt

    @property
    def wants(self) -> int:
        """How many tokens are to be computed before the next one can be chosen."""
        return len(self.tokens) - self.computed


@dataclass(slots=True, eq=False)  # not frozen: that triples the time to make one, and a step makes hundreds
class Chunk:
    """Compute `count` tokens of a sequence from `start`, then its `draft`; choose after these if `samples`.

    With `samples` a token is chosen after the last of the `count` and after every draft token.
    """

    sequence: Sequence
    start: int
    count: int
    samples: bool
    draft: tuple[int, ...] = ()


class Runner(Protocol):
    """Computes one step."""

    def step(self, plan: Row[Chunk]) -> list[list[Choice]]:
        """The choices of every chunk, in the plan's order: none where it does not sample, else 1 + its draft.

        Drawn with luck keyed by the seed and the token's index in the answer, whatever else is in the plan.
        """


class Proposer(Protocol):
    """Guesses what comes next, so that a step can check several tokens of a sequence at once."""

    def propose(self, wanted: Row[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
        """For each sequence, all of whose tokens but the last are computed, so many tokens or fewer."""


@dataclass(frozen=True, slots=True)
class Output:
    """One token of one request; `first` is its first."""

    id: str
    token: int
    finish: Finish | None


class Blocks:
    """The KV blocks. Block 0 is never given out: padding reads and writes there."""

    def __init__(self, count: int) -> None:
        self.total = count - 1
        self._free = list(range(count - 1, 0, -1))

    @property
    def free(self) -> int:
        """Blocks that can be had."""
        return len(self._free)

    def grow(self, sequence: Sequence, tokens: int) -> bool:
        """Gives the sequence room for `tokens` in all; False, and nothing changed, when there is none."""
        missing = needed(tokens) - len(sequence.blocks)
        if missing > self.free:
            return False
        sequence.blocks += [self._free.pop() for _ in range(missing)]
        return True

    def release(self, sequence: Sequence) -> None:
        """Takes all blocks of the sequence back."""
        self._free += reversed(sequence.blocks)
        sequence.blocks = []


def needed(tokens: int) -> int:
    """Blocks that hold `tokens`."""
    return -(-tokens // BLOCK)


class Scheduler:
    """Continuous batching over one pool of blocks, which must hold at least one whole context."""

    def __init__(self, blocks: Blocks, *, max_num_seqs: int, budget: int, end: int) -> None:
        self._blocks, self._places, self._budget, self._end = blocks, max_num_seqs, budget, end
        self._running: list[Sequence] = []
        self._waiting: deque[Sequence] = deque()

    @property
    def busy(self) -> bool:
        """Whether a step would do something."""
        return bool(self._running or self._waiting)

    def load(self) -> Load:
        """How many run and wait, and how full the pool is."""
        return Load(len(self._running), len(self._waiting), 1 - self._blocks.free / self._blocks.total)

    def add(self, sequence: Sequence) -> None:
        """Queues a sequence."""
        self._waiting.append(sequence)

    def abort(self, sequence_id: str) -> None:
        """Forgets a sequence and frees its blocks; unknown ones are ignored."""
        for queue in (self._running, self._waiting):
            for sequence in [s for s in queue if s.id == sequence_id]:
                queue.remove(sequence)
                self._blocks.release(sequence)

    def plan(self) -> list[Chunk]:
        """The next step."""
        chosen: dict[Sequence, Chunk] = {}
        budget = self._budget
        for sequence in sorted(self._running, key=lambda s: s.wants > 1):
            if budget and sequence in self._running and self._room(sequence, budget, chosen):
                budget -= self._choose(sequence, budget, chosen)
        while budget and (admitted := self._next_admitted()):
            budget -= self._choose(admitted, budget, chosen)
        return list(chosen.values())

    def advance(self, plan: list[Chunk], choices: list[list[Choice]]) -> list[Output]:
        """Takes in what a step computed."""
        outputs = []
        for chunk, chosen in zip(plan, choices, strict=True):
            chunk.sequence.computed += chunk.count
            if chosen:
                outputs.append(self._append(chunk.sequence, chosen[0].token))
        return outputs

    def _choose(self, sequence: Sequence, budget: int, chosen: dict[Sequence, Chunk]) -> int:
        count = min(sequence.wants, budget)
        self._blocks.grow(sequence, sequence.computed + count)
        chosen[sequence] = Chunk(sequence, sequence.computed, count, count == sequence.wants)
        return count

    def _room(self, sequence: Sequence, budget: int, chosen: dict[Sequence, Chunk]) -> bool:
        """Finds blocks for its next tokens, if need be from the newest; False when the newest is this one."""
        while not self._blocks.grow(sequence, sequence.computed + min(sequence.wants, budget)):
            newest = self._running.pop()
            chosen.pop(newest, None)
            self._blocks.release(newest)
            newest.computed = 0
            self._waiting.appendleft(newest)
            if newest is sequence:
                return False
        return True

    def _next_admitted(self) -> Sequence | None:
        """Moves the next waiting sequence in when there is a place and room for all it has so far."""
        if not self._waiting or len(self._running) >= self._places:
            return None
        if needed(self._waiting[0].wants + 1) > self._blocks.free:
            return None
        self._running.append(self._waiting.popleft())
        return self._running[-1]

    def _append(self, sequence: Sequence, token: int) -> Output:
        sequence.tokens.append(token)
        finish: Finish | None = None
        if token == self._end and not sequence.sampling.ignore_eos:
            finish = "stop"
        elif sequence.generated >= sequence.limit:
            finish = "length"
        if finish:
            self._running.remove(sequence)
            self._blocks.release(sequence)
        return Output(sequence.id, token, finish)
