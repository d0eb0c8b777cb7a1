"""Requests of the lengths a trace has, in its order; their words are synthetic.

Out of scope: the trace's shared prefixes (hash ids).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle

from loadlab.core import trace
from loadlab.core.nouns import Request
from loadlab.workloads.synthetic import words

_DEFAULT_PROMPT, _DEFAULT_OUTPUT = 100, 100


@dataclass(frozen=True, slots=True)
class Replay:
    """The trace at `path`, over and over."""

    path: str

    def requests(self, seed: int) -> Iterator[Request]:
        """One request per line. Raises UsageError for an unusable file."""
        chance = random.Random(seed)
        for arrival in cycle(trace.read(self.path)):
            yield words(
                chance,
                arrival.prompt_tokens or _DEFAULT_PROMPT,
                max_tokens=arrival.output_tokens or _DEFAULT_OUTPUT,
            )
