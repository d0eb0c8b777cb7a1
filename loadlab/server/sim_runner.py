"""Stands where a model would: says how long a step takes and which tokens come, and computes nothing.

Every number is looked up by seed and counter, so neither the wall clock nor the order of calls changes it.
"""

from __future__ import annotations

from collections.abc import Sequence as Row
from itertools import takewhile

from loadlab.core.units import NS_PER_S
from loadlab.server.faults import Faults
from loadlab.server.job import Choice
from loadlab.server.luck import lognormal, uniform
from loadlab.server.plan import Chunk, Sequence
from loadlab.server.roofline import Roofline, Work
from loadlab.server.words import PERIOD, TOKENS

_CHOICES = tuple(Choice(token) for token in TOKENS)
_WRONG = -1  # a token that no answer has


class SimRunner:
    """See `plan.Runner`. Step times vary by `cv`; `faults` has stalls and a cold start."""

    def __init__(
        self, roofline: Roofline, *, cv: float = 0.0, faults: Faults | None = None, seed: int = 0
    ) -> None:
        self._roofline, self._cv, self._faults, self._seed = roofline, cv, faults or Faults(), seed
        self.steps = 0

    def step(self, plan: Row[Chunk]) -> list[list[Choice]]:
        """The tokens of every chunk that samples, drafts included."""
        return [_chosen(chunk) if chunk.samples else [] for chunk in plan]

    def duration_ns(self, plan: Row[Chunk]) -> int:
        """How long the next step takes if it is this one."""
        self.steps += 1
        noise = lognormal(self._cv, self._seed, self.steps)
        extra_ns = self._faults.stalled_ns(self._seed, self.steps)
        if self.steps == 1:
            extra_ns += self._faults.cold_ns
        return round(self._roofline.seconds(work_of(plan)) * noise * NS_PER_S) + extra_ns


class SimProposer:
    """Drafts that come true with the chance `acceptance`, token by token."""

    def __init__(self, acceptance: float, seed: int = 0) -> None:
        self._acceptance, self._seed = acceptance, seed

    def propose(self, wanted: Row[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
        """See `plan.Proposer`; from the first wrong token on, all are."""
        return [self._draft(sequence, count) for sequence, count in wanted]

    def _draft(self, sequence: Sequence, count: int) -> tuple[int, ...]:
        start, key = sequence.generated, sequence.sampling.seed
        indices = range(start, start + count)
        right = takewhile(lambda index: uniform(self._seed, key, index) < self._acceptance, indices)
        tokens = tuple(TOKENS[index % PERIOD] for index in right)
        return tokens + (_WRONG,) * (count - len(tokens))


def work_of(plan: Row[Chunk]) -> Work:
    """What a plan asks of the device."""
    tokens = cached = sampled = widest = 0
    pairs = 0.0
    for chunk in plan:
        new, start = chunk.count + len(chunk.draft), chunk.start
        tokens += new
        cached += start
        pairs += new * (start + new / 2)
        widest = max(widest, new)
        sampled += chunk.samples + len(chunk.draft)
    return Work(tokens, cached, pairs, len(plan), sampled, widest)


def _chosen(chunk: Chunk) -> list[Choice]:
    start = chunk.sequence.generated
    return [_CHOICES[(start + ahead) % PERIOD] for ahead in range(1 + len(chunk.draft))]
