"""Prompts of a wanted length, different for every request so that no prefix cache can help.

Length is in words that common tokenizers keep whole (about one token each); what the server counted is
stored beside every request. Out of scope: exact token counts, which need the server's own tokenizer.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from loadlab.core.nouns import Message, Request

_TEXT = (
    "time year people way day man thing woman life child world school state family student group country "
    "problem hand part place case week company system program question work government number night point "
    "home water room mother area money story fact month lot right study book eye job word business issue "
    "side kind head house service friend father power hour game line end member law car city community name "
    "president team minute idea body information back parent face others level office door health person art "
    "war history party result change morning reason research girl guy moment air teacher force education"
)
_WORDS = _TEXT.split()


@dataclass(frozen=True, slots=True)
class Synthetic:
    """Chat requests with prompts of about `prompt_tokens` tokens."""

    prompt_tokens: int
    max_tokens: int = 100
    temperature: float = 0.0

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream of fresh word sequences."""
        chance = random.Random(seed)
        while True:
            yield words(chance, self.prompt_tokens, max_tokens=self.max_tokens, temperature=self.temperature)


def words(chance: random.Random, count: int, *, max_tokens: int, temperature: float = 0.0) -> Request:
    """A chat request whose prompt is `count` random words."""
    text = " ".join(chance.choices(_WORDS, k=count))
    return Request((Message("user", text),), max_tokens=max_tokens, temperature=temperature)
