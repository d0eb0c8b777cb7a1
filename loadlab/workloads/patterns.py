"""Workloads in which a technique finds what it lives from: shared beginnings, copies, repeats, long prompts.

Prompts are random words by seed, as in `synthetic`; only the pattern between them is meant. Every answer has
its full length, whatever the model says, so that two settings of a server are asked for the same work.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from loadlab.core.nouns import Message, Request
from loadlab.workloads.synthetic import words


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """Every request begins with the same system message of `prefix_tokens`; its question is its own."""

    prefix_tokens: int = 800
    question_tokens: int = 30
    max_tokens: int = 32

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream of fresh questions."""
        chance = random.Random(seed)
        (rules,) = words(chance, self.prefix_tokens, max_tokens=1).messages
        while True:
            asked = words(chance, self.question_tokens, max_tokens=self.max_tokens)
            turns = (Message("system", rules.content), *asked.messages)
            yield replace(asked, messages=turns, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class Copying:
    """Every request asks for its own text again, as edits of code and quotes of documents do."""

    text_tokens: int = 60
    max_tokens: int = 60

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream of fresh texts."""
        chance = random.Random(seed)
        while True:
            (text,) = words(chance, self.text_tokens, max_tokens=1).messages
            asked = f"Repeat this text word for word, twice:\n{text.content}\n\n{text.content}\n"
            yield Request((Message("user", asked),), max_tokens=self.max_tokens, ignore_eos=True)


@dataclass(frozen=True, slots=True)
class Repeats:
    """A few questions, asked again and again."""

    questions: int = 8
    prompt_tokens: int = 60
    max_tokens: int = 32

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream of draws from the same questions."""
        chance = random.Random(seed)
        asked = [words(chance, self.prompt_tokens, max_tokens=self.max_tokens) for _ in range(self.questions)]
        while True:
            yield replace(chance.choice(asked), ignore_eos=True)


@dataclass(frozen=True, slots=True)
class LongAmongShort:
    """Short chats, and one request in `every` with a long document."""

    every: int = 8
    short_tokens: int = 30
    long_tokens: int = 1500
    max_tokens: int = 64

    def requests(self, seed: int) -> Iterator[Request]:
        """An endless stream; which ones are long is by seed."""
        chance = random.Random(seed)
        while True:
            count = self.short_tokens if chance.randrange(self.every) else self.long_tokens
            yield replace(words(chance, count, max_tokens=self.max_tokens), ignore_eos=True)
