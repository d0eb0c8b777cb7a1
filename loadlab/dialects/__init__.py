"""Wire languages, sans-IO: a Request becomes a Call, bytes become Deltas.

A dialect never sees a clock or a socket; whoever feeds it owns the times. One file per language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from loadlab.core.finder import find
from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects.usage import Usage

DIALECTS = {
    "openai-chat": "loadlab.dialects.openai:CHAT",
    "openai-completions": "loadlab.dialects.openai:COMPLETIONS",
    "openai-responses": "loadlab.dialects.responses:RESPONSES",
    "openai-embeddings": "loadlab.dialects.embeddings:EMBEDDINGS",
    "openai-speech": "loadlab.dialects.speech:SPEECH",
    "openai-transcription": "loadlab.dialects.transcription:TRANSCRIPTION",
    "anthropic": "loadlab.dialects.anthropic:MESSAGES",
    "anthropic-vertex": "loadlab.dialects.anthropic:VERTEX",
    "gemini": "loadlab.dialects.gemini:GENERATE",
    "bedrock-converse": "loadlab.dialects.bedrock:CONVERSE",
    "bedrock-invoke": "loadlab.dialects.bedrock:INVOKE",
    "sagemaker": "loadlab.dialects.sagemaker:CHAT",
    "sagemaker-tgi": "loadlab.dialects.sagemaker:TGI",
    "tgi": "loadlab.dialects.tgi:GENERATE",
    "triton": "loadlab.dialects.triton:GENERATE",
    "triton-tensorrt": "loadlab.dialects.triton:TENSORRT",
    "kserve": "loadlab.dialects.kserve:INFER",
    "llamacpp": "loadlab.dialects.llamacpp:COMPLETION",
    "ollama": "loadlab.dialects.ollama:CHAT",
    "sglang": "loadlab.dialects.sglang:GENERATE",
    "rerank": "loadlab.dialects.rerank:RERANK",
    "tei-embed": "loadlab.dialects.tei:EMBED",
    "tei-rerank": "loadlab.dialects.tei:RERANK",
    "deepgram-listen": "loadlab.dialects.deepgram:LISTEN",
    "deepgram-live": "loadlab.dialects.deepgram:LIVE",
    "deepgram-speak": "loadlab.dialects.deepgram:SPEAK",
    "cartesia": "loadlab.dialects.cartesia:EVENTS",
    "cartesia-bytes": "loadlab.dialects.cartesia:BYTES",
    "cartesia-live": "loadlab.dialects.cartesia:LIVE",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request, ready to be framed: `url` is absolute, `body` complete.

    With `messages` it is a WebSocket conversation instead, at a ws or wss URL, which is over when a message
    came in that contains one of `last`.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    messages: tuple[str | bytes, ...] = ()
    last: tuple[bytes, ...] = ()


class Delta(NamedTuple):
    """One event that carried output."""

    kind: Literal["answer", "reasoning", "tool"]
    text: str


class Decoder(Protocol):
    """Decodes one response body. Its properties fill in as bytes are fed; unknown stays None."""

    @property
    def events(self) -> int:
        """Messages so far, output or not; pings and comments are none."""

    @property
    def complete(self) -> bool:
        """Whether the language's own end of an answer was seen."""

    @property
    def finish_reason(self) -> str | None:
        """Why the output ended: stop, length, tool_calls, content_filter, or the vendor's own word."""

    @property
    def error(self) -> str | None:
        """What the server says went wrong."""

    @property
    def usage(self) -> Usage:
        """Tokens as the server reports them, in the one meaning that all dialects share."""

    @property
    def audio_s(self) -> float | None:
        """Seconds of audio, made or heard; not None also says that output is not counted in tokens."""

    @property
    def server_timings(self) -> dict[str, float] | None:
        """The server's own times, under its own names."""

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
    dialect: Dialect = find("dialects", "dialect", name, DIALECTS)
    return dialect
