"""A few characters before a prompt that no other request has, so that no cache of prompts knows it.

They stand before the first word of the user: a system message, which requests share on purpose, stays shared,
and so does what the turns of one conversation have in common.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from itertools import count

from loadlab.core.nouns import Message, Request

_CHARACTERS = 8


class Nonces:
    """The nonces of one load worker by seed and number, counted from `first`."""

    def __init__(self, seed: int, worker: int, first: int = 0) -> None:
        self._of = f"{seed}/{worker}"
        self._numbers = count(first)

    def before(self, request: Request) -> Request:
        """The request with a nonce of its own, or that of its conversation; what has no prompt stays."""
        about = f"{self._of}/{request.conversation or next(self._numbers)}"
        nonce = blake2b(about.encode(), digest_size=_CHARACTERS // 2).hexdigest()
        if request.prompt:
            return replace(request, prompt=f"{nonce} {request.prompt}")
        return replace(request, messages=_marked(request.messages, nonce))


def _marked(messages: tuple[Message, ...], nonce: str) -> tuple[Message, ...]:
    """The first message of the user begins with the nonce."""
    for at, message in enumerate(messages):
        if message.role == "user":
            marked = replace(message, content=f"{nonce} {message.content}")
            return (*messages[:at], marked, *messages[at + 1 :])
    return messages
