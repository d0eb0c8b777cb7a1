"""What every decoder fills in, and the two steps of decoding: cut the body into messages, take each message.

A cutter knows framing and no meaning; a dialect's answer knows meaning and no framing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import orjson

from loadlab.dialects import Delta
from loadlab.dialects.usage import UNKNOWN, Usage

_DONE = b"[DONE]"
_FINISHES = {
    "end_turn": "stop", "stop_sequence": "stop", "STOP": "stop", "eos": "stop", "eos_token": "stop",
    "completed": "stop", "word": "stop",
    "max_tokens": "length", "MAX_TOKENS": "length", "max_output_tokens": "length", "limit": "length",
    "tool_use": "tool_calls",
    "SAFETY": "content_filter", "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}  # fmt: skip
_WORDS = ("message", "Message", "detail", "err_msg", "error_message", "error")


class Cutter(Protocol):
    """Cuts a body, which comes in pieces split anywhere, into messages."""

    @property
    def between(self) -> bool:
        """Whether all that was fed were whole messages."""

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""

    def close(self) -> list[bytes]:
        """The messages that only the end of the body completes."""


class Whole:
    """One message: the whole body."""

    __slots__ = ("_body",)

    between = False

    def __init__(self) -> None:
        self._body = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """See Cutter."""
        self._body += data
        return []

    def close(self) -> list[bytes]:
        """See Cutter."""
        return [bytes(self._body)]


class Lines:
    """A message per line; empty lines are none."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    @property
    def between(self) -> bool:
        """See Cutter."""
        return not self._rest

    def feed(self, data: bytes) -> list[bytes]:
        """See Cutter."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line for line in lines if line.strip()]

    def close(self) -> list[bytes]:
        """See Cutter."""
        line, self._rest = self._rest.strip(), b""
        return [line] if line else []


class Each:
    """Every piece is a message, as a WebSocket gives them."""

    __slots__ = ()

    between = True

    def feed(self, data: bytes) -> list[bytes]:
        """See Cutter."""
        return [data]

    def close(self) -> list[bytes]:
        """See Cutter."""
        return []


class Answer:
    """A Decoder of messages that are JSON objects; a dialect's subclass says what they mean, in `read`.

    Output that comes in one piece has no time of its own: no Delta is given then. `marked` says whether the
    language marks the end of a stream; where it does not, the end of the body is the end.
    """

    __slots__ = (
        "_cutter",
        "audio_s",
        "complete",
        "error",
        "events",
        "finish_reason",
        "server_timings",
        "usage",
    )

    marked = True

    def __init__(self, cutter: Cutter) -> None:
        self._cutter = cutter
        self.events = 0
        self.complete = False
        self.finish_reason: str | None = None
        self.usage: Usage = UNKNOWN
        self.error: str | None = None
        self.audio_s: float | None = None
        self.server_timings: dict[str, float] | None = None

    def feed(self, data: bytes) -> list[Delta]:
        """See Decoder."""
        deltas: list[Delta] = []
        for message in self._cutter.feed(data):
            self.events += 1
            self._take(message, deltas)
        return deltas

    def close(self) -> list[Delta]:
        """See Decoder."""
        deltas: list[Delta] = []
        for message in self._cutter.close():
            self.events += 1
            self._take(message, deltas)
        whole = isinstance(self._cutter, Whole)
        if self.events and (whole or not self.marked):
            self.complete = True
        return [] if whole else deltas

    def _take(self, message: bytes, deltas: list[Delta]) -> None:
        if message == _DONE:
            self.complete = True
            return
        document = orjson.loads(message)
        for part in document if isinstance(document, list) else (document,):
            if not isinstance(part, dict):
                raise ValueError(f"expected a JSON object, got {str(part)[:80]!r}")
            if error := part.get("error") or self._refusal(part):
                self.error = words(error)
            self.read(part, deltas)

    def _refusal(self, document: dict[str, Any]) -> str | None:
        """The words that some vendors put at the top of an answer in one piece when it is none."""
        if not isinstance(self._cutter, Whole):
            return None
        return next((said for name in _WORDS[:-1] if isinstance(said := document.get(name), str)), None)

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        """Takes one message; output goes to `deltas`, everything else to the attributes."""
        raise NotImplementedError

    def finish(self, reason: str | None) -> None:
        """Notes why the output ended, in OpenAI's words where they have one for it."""
        if reason:
            self.finish_reason = _FINISHES.get(reason, reason)

    def keep_times(self, timings: Mapping[str, Any], names: tuple[str, ...]) -> None:
        """Keeps those of the server's own times that are numbers."""
        known = {name: timings[name] for name in names if isinstance(timings.get(name), int | float)}
        if known:
            self.server_timings = {**(self.server_timings or {}), **known}


class Refusal(Answer):
    """What is refused in JSON, in a language whose answers are none."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        self.error = self.error or words(document)


def words(error: object) -> str:
    """What an error of any vendor's shape says."""
    if isinstance(error, dict):
        for name in _WORDS:
            if isinstance(said := error.get(name), str):
                return said
    return str(error)
