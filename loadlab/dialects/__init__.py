"""Wire languages, sans-IO: a Request becomes a Call, bytes become Deltas.

A dialect never sees a clock or a socket; whoever feeds it owns the times. One file per language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from loadlab.core.finder import find
from loadlab.core.nouns import Endpoint, Request

_DIALECTS = {
    "openai-chat": "loadlab.dialects.openai:CHAT",
    "openai-completions": "loadlab.dialects.openai:COMPLETIONS",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, ready to be framed: `url` is absolute, `body` complete."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Delta(NamedTuple):
    """One event that carried output."""

    kind: Literal["answer", "reasoning", "tool"]
    text: str


class Decoder(Protocol):
    """Decodes one response body. Attributes fill in as bytes are fed; unknown stays None."""

    events: int
    complete: bool
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    reasoning_tokens: int | None
    error: str | None

    def feed(self, data: bytes) -> list[Delta]:
        """The output events completed by `data`, which may be split anywhere.

        Raises ValueError on bytes that are not of this language.
        """

    def close(self) -> list[Delta]:
        """The output events that only the end of the body completes."""


class Dialect(Protocol):
    """One wire language."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """The HTTP request for `request`, without credentials."""

    def decoder(self, content_type: str) -> Decoder:
        """A fresh decoder for a response of that content type."""


def get(name: str) -> Dialect:
    """The dialect of that name. Raises UnknownNameError."""
    dialect: Dialect = find("dialects", "dialect", name, _DIALECTS)
    return dialect
