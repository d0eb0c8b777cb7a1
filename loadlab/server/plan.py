"""What a step is made of: the words scheduler, runner and proposers share. Knows no policy and no tensor."""

from __future__ import annotations

from collections.abc import Sequence as Row
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from loadlab.server.job import Choice, Finish, Sampling


@dataclass(slots=True, eq=False, weakref_slot=True)
class Sequence:
    """One request inside the engine. `computed` tokens have their keys and values in `blocks`.

    `limit` is how many tokens it may generate, `front` is for whoever added it.
    """

    id: str
    tokens: list[int]
    limit: int
    sampling: Sampling
    priority: int = 0
    front: int = 0
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    digests: list[bytes] = field(
        default_factory=list
    )  # names of its full blocks, as far as they were asked for
    kept: int = 0  # how many of its blocks the prefix cache has seen
    running: bool = False
    admitted: bool = False  # it has left the queue at least once
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


class Chunk(NamedTuple):
    """Compute `count` tokens of a sequence from `start`, then its `draft`; choose after these if `samples`.

    With `samples` a token is chosen after the last of the `count` and after every draft token.
    """

    sequence: Sequence
    start: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody asks a chunk for
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
        """For each sequence, all of whose tokens but one are computed, so many tokens or fewer; may be 0."""


class Output(NamedTuple):
    """What one step gave one sequence: one token, or more where guesses came true."""

    sequence: Sequence
    choices: list[Choice]
    finish: Finish | None

    @property
    def id(self) -> str:
        """Whose it is."""
        return self.sequence.id
