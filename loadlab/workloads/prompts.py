"""Prompts from a JSON-lines file, shuffled by seed, each used once before any is used again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Message, Request

_DATA = files("loadlab.workloads") / "data"


@dataclass(frozen=True, slots=True)
class Prompts:
    """Chat requests of one user turn each.

    `source` is a bundled set ("everyday") or the path of a file whose lines are objects with a "prompt".
    """

    source: str = "everyday"
    max_tokens: int = 100
    temperature: float = 0.0

    def requests(self, seed: int) -> Iterator[Request]:
        """Rounds over the whole set, each in a fresh order. Raises UsageError for an unusable file."""
        texts = self.texts()
        chance = random.Random(seed)
        while True:
            chance.shuffle(texts)
            for text in texts:
                yield Request(
                    (Message("user", text),), max_tokens=self.max_tokens, temperature=self.temperature
                )

    def texts(self) -> list[str]:
        """Every prompt, in file order."""
        lines = [line for line in self._read().splitlines() if line.strip()]
        if not lines:
            raise UsageError(f"prompt file '{self.source}' is empty; put one JSON object per line in it.")
        return [self._prompt(number, line) for number, line in enumerate(lines, 1)]

    def _read(self) -> str:
        path = Path(self.source)
        if path.suffix == ".jsonl":
            try:
                return path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise UsageError(f"prompt file '{path}' cannot be read: {error}.") from error
        known = {
            entry.name.removesuffix(".jsonl") for entry in _DATA.iterdir() if entry.name.endswith(".jsonl")
        }
        if self.source not in known:
            raise UnknownNameError("prompt set", self.source, known)
        return (_DATA / f"{self.source}.jsonl").read_text(encoding="utf-8")

    def _prompt(self, number: int, line: str) -> str:
        try:
            prompt = json.loads(line)["prompt"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"prompt file '{self.source}', line {number}: expected an object with a \"prompt\", "
                f"got {line[:60]!r}."
            ) from error
        if not isinstance(prompt, str) or not prompt:
            raise UsageError(
                f"prompt file '{self.source}', line {number}: \"prompt\" must be a non-empty string."
            )
        return prompt
