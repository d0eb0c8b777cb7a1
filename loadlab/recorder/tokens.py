"""Reference tokenizers: one yardstick for the answers of all vendors, whose own tokens differ in length.

Knows names and how to count; refuses to be any vendor's own tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from loadlab.core.errors import LoadlabError
from loadlab.core.finder import find

Counter = Callable[[str], int]

REFERENCES = {
    "smollm2": "loadlab.server.reference:counter",
    "pieces": "loadlab.recorder.tokens:pieces",
}
# How byte-pair tokenizers cut a text before they merge: a word with its space, digits by three, marks.
_PIECE = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d{1,3}| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+")


def counter(name: str) -> Counter:
    """What counts the tokens of a text. Raises UnknownNameError, or LoadlabError where it cannot be had."""
    made: Counter = find("references", "reference tokenizer", name, REFERENCES)()
    return made


def best() -> str:
    """The name of the first reference that works here: the tokenizer where it is installed, else pieces."""
    for name in REFERENCES:
        try:
            counter(name)
        except (LoadlabError, ImportError):
            continue
        return name
    return "pieces"


def pieces() -> Counter:
    """Counts what a byte-pair tokenizer would start from: no dependency, and no vendor's interest."""
    return lambda text: sum(1 for _ in _PIECE.finditer(text))
