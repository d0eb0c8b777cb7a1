"""Guesses at the next tokens for a step to check: what followed before, or what a smaller model chooses.

A wrong guess costs a little arithmetic and never changes an answer. Knows runners only as `plan.Runner`.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Row
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

from loadlab.core.errors import LoadlabError
from loadlab.server.kv import Pool
from loadlab.server.plan import Chunk, Runner, Sequence

# How many last tokens must have come before, the longest first. Two are too few: on four prompts to SmolLM2
# they doubled the guesses, to 95, of which 38 instead of 34 were right.
_SIZES = (4, 3)
_PIECE = 512  # of a prompt, in one step of a draft model


class Lookup:
    """Guesses that what followed the last tokens when they came before follows again: good for copying."""

    def __init__(self) -> None:
        self._texts: WeakKeyDictionary[Sequence, _Text] = WeakKeyDictionary()

    def propose(self, wanted: Row[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
        """See plan.Proposer."""
        return [self._text(sequence).guess(sequence.tokens, count) for sequence, count in wanted]

    def _text(self, sequence: Sequence) -> _Text:
        if sequence not in self._texts:
            self._texts[sequence] = _Text()
        return self._texts[sequence]


class _Text:
    """Where each run of tokens in one text was last followed by something."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, ...], int] = {}
        self._read = 1

    def guess(self, tokens: list[int], count: int) -> tuple[int, ...]:
        self._read_on(tokens)
        end = len(tokens)
        for size in _SIZES:
            if place := self._places.get(tuple(tokens[end - size :])):
                period = end - place  # what overlaps its own guess goes round
                return tuple(tokens[place + index % period] for index in range(count))
        return ()

    def _read_on(self, tokens: list[int]) -> None:
        for place in range(self._read, len(tokens)):
            for size in _SIZES:
                if place >= size:
                    self._places[tuple(tokens[place - size : place])] = place
        self._read = max(self._read, len(tokens))


@dataclass(slots=True)
class _Shadow:
    """A sequence as the draft model has it: `true` tokens of the real one, then guesses."""

    copy: Sequence
    true: int


class DraftModel:
    """Asks a smaller model with the same tokens, up to its `context`. It has a pool of its own."""

    def __init__(self, runner: Runner, pool: Pool, context: int) -> None:
        self._runner, self._pool, self._context = runner, pool, context
        self._shadows: dict[Sequence, _Shadow] = {}

    def propose(self, wanted: Row[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
        """See plan.Proposer."""
        self._keep_only(lambda sequence: sequence.running)
        present = {sequence for sequence, _ in wanted}
        counts = {sequence: count for sequence, count in wanted if self._ready(sequence, count, present)}
        try:
            self._guess({self._shadows[sequence].copy: count for sequence, count in counts.items()})
        except LoadlabError:  # no memory for guessing is no reason to stop
            self._keep_only(lambda _: False)
            return [() for _ in wanted]
        return [self._guesses(sequence) if sequence in counts else () for sequence, _ in wanted]

    def _ready(self, sequence: Sequence, count: int, present: set[Sequence]) -> bool:
        """Brings the shadow up to date; False when there is nothing to guess or no room for it."""
        if count < 1 or len(sequence.tokens) + count > self._context:
            return False
        shadow = self._shadows.get(sequence) or _Shadow(_copy(sequence), 0)
        self._shadows[sequence] = shadow
        copy, tokens = shadow.copy, sequence.tokens
        agreed = shadow.true
        while agreed < min(len(copy.tokens), len(tokens)) and copy.tokens[agreed] == tokens[agreed]:
            agreed += 1
        copy.tokens[agreed:] = tokens[agreed:]
        copy.computed, shadow.true = min(copy.computed, agreed, len(tokens) - 1), len(tokens)
        if self._pool.grow(copy, len(tokens) + count):
            return True
        self._keep_only(present.__contains__)
        return self._pool.grow(copy, len(tokens) + count)

    def _guess(self, counts: dict[Sequence, int]) -> None:
        for copy in counts:
            while copy.wants > _PIECE:
                self._runner.step([Chunk(copy, copy.computed, _PIECE, False)])
                copy.computed += _PIECE
        for turn in range(max(counts.values(), default=0)):
            plan = [
                Chunk(copy, copy.computed, copy.wants, True) for copy, count in counts.items() if turn < count
            ]
            for chunk, (choice,) in zip(plan, self._runner.step(plan), strict=True):
                chunk.sequence.computed += chunk.count
                chunk.sequence.tokens.append(choice.token)

    def _guesses(self, sequence: Sequence) -> tuple[int, ...]:
        shadow = self._shadows[sequence]
        return tuple(shadow.copy.tokens[shadow.true :])

    def _keep_only(self, wanted: Callable[[Sequence], bool]) -> None:
        for sequence in [sequence for sequence in self._shadows if not wanted(sequence)]:
            self._pool.release(self._shadows.pop(sequence).copy)


def _copy(sequence: Sequence) -> Sequence:
    """Its own tokens, but the same luck: so a similar model draws the same."""
    copy = Sequence(
        sequence.id, list(sequence.tokens), sequence.limit, replace(sequence.sampling, logprobs=None)
    )
    copy.prompt = sequence.prompt
    return copy
