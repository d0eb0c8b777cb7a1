"""What a comparison asks of every vendor alike: the same prompts in the same order, and nothing that a cache
of one has seen before, or, where that is declared, a beginning that every cache has seen.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Message, Request
from loadlab.workloads.prompts import Prompts
from loadlab.workloads.synthetic import Synthetic, words

_PREFIX_SEED = 0


@dataclass(frozen=True, slots=True)
class Asked:
    """Prompts of a set (`source`), or of about `prompt_tokens` random words.

    With `nonce` every prompt begins with a mark of its own, made of the nonce, the seed and its number: no
    prefix cache can help. With `prefix_tokens` all prompts share a system message instead, the same in
    every run. `request_seed` is sent with each request, for vendors that take one.
    """

    max_tokens: int
    source: str = "everyday"
    prompt_tokens: int | None = None
    prefix_tokens: int | None = None
    nonce: str = ""
    request_seed: int | None = None

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream at temperature 0. Raises UsageError for an unusable prompt set."""
        shared = self._shared()
        for number, request in enumerate(self._plain().requests(seed)):
            (turn,) = request.messages
            marked = replace(turn, content=self._mark(seed, number) + turn.content)
            yield replace(request, messages=(*shared, marked), seed=self.request_seed)

    def _plain(self) -> Prompts | Synthetic:
        if self.prompt_tokens:
            return Synthetic(self.prompt_tokens, self.max_tokens)
        return Prompts(self.source, self.max_tokens)

    def _shared(self) -> tuple[Message, ...]:
        if not self.prefix_tokens:
            return ()
        (turn,) = words(random.Random(_PREFIX_SEED), self.prefix_tokens, max_tokens=1).messages
        return (Message("system", turn.content),)

    def _mark(self, seed: int, number: int) -> str:
        if not self.nonce:
            return ""
        return f"[{blake2b(f'{self.nonce} {seed} {number}'.encode(), digest_size=8).hexdigest()}] "


def asked(fields: Mapping[str, Any]) -> Asked:
    """The workload that a run's spec holds. Raises UsageError for fields of another version."""
    try:
        return Asked(**fields)
    except TypeError as error:
        raise UsageError(f"the run's workload is not understood: {error}.") from error
