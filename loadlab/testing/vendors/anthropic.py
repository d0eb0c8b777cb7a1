"""Anthropic messages, at home and on Vertex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    CACHED,
    COMMENT,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REASONED,
    WRITTEN,
    Vendor,
    as_json,
    named,
)

_INPUT = {
    "input_tokens": PROMPT_TOKENS - CACHED - WRITTEN,
    "cache_read_input_tokens": CACHED,
    "cache_creation_input_tokens": WRITTEN,
}
_OUTPUT = {"output_tokens": OUTPUT_TOKENS, "output_tokens_details": {"thinking_tokens": REASONED}}
ASKED = {
    "max_tokens": 7,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Grüße?"}],
    "temperature": 0.0,
}

Event = tuple[str, dict[str, Any]]


def _block(**delta: str) -> Event:
    return "content_block_delta", {"index": 0, "delta": delta}


OPENING: Sequence[Event] = (
    ("message_start", {"message": {"id": "msg_1", "content": [], "usage": {**_INPUT, "output_tokens": 1}}}),
    ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
)
NOISE: Sequence[Event] = (
    ("ping", {}),
    _block(type="signature_delta", signature="EqQB"),
    _block(type="text_delta", text=""),
)


def answers(texts: Sequence[str]) -> list[Event]:
    """An event per text."""
    return [_block(type="text_delta", text=text) for text in texts]


def reasoning(text: str) -> Event:
    """A thought."""
    return _block(type="thinking_delta", thinking=text)


def tool(text: str) -> Event:
    """A piece of a tool's input."""
    return _block(type="input_json_delta", partial_json=text)


def ending(counted: bool) -> list[Event]:
    """How a stream ends. Only the output is counted here: the input was, at its beginning."""
    counts = {"usage": _OUTPUT} if counted else {}
    return [
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "max_tokens", "stop_sequence": None}, **counts}),
        ("message_stop", {}),
    ]


USAGE = Usage(PROMPT_TOKENS, OUTPUT_TOKENS, CACHED, WRITTEN, REASONED)


def document(text: str) -> bytes:
    """An answer in one piece."""
    return as_json(
        type="message",
        role="assistant",
        content=[{"type": "text", "text": text}],
        stop_reason="max_tokens",
        usage={**_INPUT, **_OUTPUT},
    )


def _sse(one: Event) -> bytes:
    return named(one[0], **one[1])


MESSAGES = Vendor(
    path="/v1/messages",
    body={**ASKED, "model": MODEL, "stream": True},
    headers={"anthropic-version": "2023-06-01"},
    opening=[_sse(one) for one in OPENING],
    noise=[COMMENT, *(_sse(one) for one in NOISE)],
    answers=lambda texts: [_sse(one) for one in answers(texts)],
    reasoning=lambda text: _sse(reasoning(text)),
    tool=lambda text: _sse(tool(text)),
    ending=lambda counted: [_sse(one) for one in ending(counted)],
    finish="length",
    usage=USAGE,
    error=lambda words: named("error", error={"type": "overloaded_error", "message": words}),
    document=document,
    refusal=lambda words: as_json(type="error", error={"type": "not_found_error", "message": words}),
)
VERTEX = replace(
    MESSAGES,
    path="/models/a%3Amodel:streamRawPredict",
    body={**ASKED, "stream": True, "anthropic_version": "vertex-2023-10-16"},
    headers={},
)
