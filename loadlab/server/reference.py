"""SmolLM2's tokenizer as a yardstick: counts anybody's answers, where the bundled model was fetched."""

from __future__ import annotations

from collections.abc import Callable

from loadlab.core.errors import LoadlabError
from loadlab.server.text import BpeTokeniser
from loadlab.server.weights import tokeniser_file


def counter() -> Callable[[str], int]:
    """Tokens of a text. Raises ImportError without the extra server, LoadlabError without the model."""
    file = tokeniser_file()
    if not file.is_file():
        raise LoadlabError(f"{file} is not there; `loadlab serve` fetches the bundled model once.")
    tokeniser = BpeTokeniser(file)
    return lambda text: len(tokeniser.encode(text))
