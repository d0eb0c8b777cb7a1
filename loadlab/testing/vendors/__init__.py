"""What vendors say on the wire, in the shapes their documentation gives, written by us: a file per language.

A `Vendor` is a dialect's fixture. `loadlab.testing.conformance` checks a dialect against it, and
`loadlab.testing.vendor_server` speaks it over real sockets. It lies where its dialect does: the vendor of
`loadlab.dialects.tgi:GENERATE` is `loadlab.testing.vendors.tgi:GENERATE`.
"""

from __future__ import annotations

import importlib
import io
import json
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadlab.core.nouns import Endpoint, Message, Request
from loadlab.dialects import DIALECTS
from loadlab.dialects.usage import UNKNOWN, Usage

MODEL = "a:model"
PROMPT_TOKENS, OUTPUT_TOKENS, CACHED, WRITTEN, REASONED = 11, 4, 5, 2, 1
CLIP_S = 0.5


def clip(seconds: float = CLIP_S, rate: int = 16_000) -> bytes:
    """A WAV file of silence: one channel of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * round(seconds * rate)))
    return file.getvalue()


ENDPOINT = Endpoint(url="http://vendor.test", model=MODEL)
REQUEST = Request(
    (Message("system", "Be brief."), Message("user", "Grüße?")),
    max_tokens=7,
    seed=3,
    inputs=("one", "two"),
    audio=clip(),
)
"""What every dialect is asked to encode."""

TURNS = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße?"}]
TEXT = "Be brief.\nGrüße?"


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """One language as spoken. Pieces of a stream are whole messages of it, framing included.

    `path` and `body` are what REQUEST must become at ENDPOINT (bytes: the body, or the messages of a
    WebSocket, must contain these); `exact` are the fields of the body, by dotted names, that an exact length
    wants, None where the server cannot. `opening` and `noise` are no output. `answers` gives a message per
    text; `ending(counted)` is what comes after the last, with or without counts. After it, the decoder must
    have `finish`, `usage`, `timings` and `audio_s`. Without `marked`, nothing in the language marks the end.
    `document(text)` is an answer in one piece, `refusal(words)` a body that says no. With `sound`, texts are
    not compared and `audio_s` is the length of one piece. With `conversation`, messages come by WebSocket,
    unsplit.
    """

    path: str
    body: Mapping[str, Any] | bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    exact: Mapping[str, Any] | None = None
    content_type: str = "text/event-stream"
    opening: Sequence[bytes] = ()
    noise: Sequence[bytes] = ()
    answers: Callable[[Sequence[str]], Sequence[bytes]] | None = None
    reasoning: Callable[[str], bytes] | None = None
    tool: Callable[[str], bytes] | None = None
    ending: Callable[[bool], Sequence[bytes]] = lambda counted: ()
    marked: bool = True
    finish: str | None = None
    usage: Usage = UNKNOWN
    timings: Mapping[str, float] | None = None
    audio_s: float | None = None
    error: Callable[[str], bytes] | None = None
    document: Callable[[str], bytes] | None = None
    refusal: Callable[[str], bytes] = lambda said: as_json(error={"message": said})
    sound: bool = False
    conversation: bool = False


def vendor(name: str) -> Vendor:
    """The vendor of a built-in dialect."""
    module, _, attribute = DIALECTS[name].partition(":")
    place = module.replace("loadlab.dialects.", "loadlab.testing.vendors.", 1)
    found: Vendor = getattr(importlib.import_module(place), attribute)
    return found


def as_json(**document: Any) -> bytes:
    """A JSON document."""
    return json.dumps(document, ensure_ascii=False).encode()


def event(**document: Any) -> bytes:
    """A server-sent event with a JSON document."""
    return b"data: " + as_json(**document) + b"\n\n"


def named(kind: str, **document: Any) -> bytes:
    """A server-sent event with a name, which its document repeats as `type`."""
    return f"event: {kind}\n".encode() + event(type=kind, **document)


COMMENT = b": ping\n\n"
DONE = b"data: [DONE]\n\n"
