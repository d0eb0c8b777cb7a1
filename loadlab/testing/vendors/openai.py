"""OpenAI chat and completions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    CACHED,
    COMMENT,
    DONE,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REASONED,
    TEXT,
    TURNS,
    Vendor,
    as_json,
    event,
)

COUNTS = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
    "prompt_tokens_details": {"cached_tokens": CACHED},
    "completion_tokens_details": {"reasoning_tokens": REASONED},
}
USAGE = Usage(PROMPT_TOKENS, OUTPUT_TOKENS, CACHED, reasoning_tokens=REASONED)
SETTINGS = {
    "model": MODEL,
    "max_tokens": 7,
    "temperature": 0.0,
    "stream": True,
    "stream_options": {"include_usage": True},
    "seed": 3,
}


_ABOUT = {"id": "chatcmpl-1", "created": 1_700_000_000, "model": MODEL}


def _delta(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return event(**_ABOUT, object="chat.completion.chunk", choices=[choice])


def _text(text: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": finish}
    return event(**_ABOUT, object="text_completion", choices=[choice])


def _usage(counted: bool) -> list[bytes]:
    about = {**_ABOUT, "object": "chat.completion.chunk"}
    return [event(**about, choices=[], usage=COUNTS)] if counted else []


def said(texts: Sequence[str]) -> list[bytes]:
    """A chat event per text."""
    return [_delta(content=text) for text in texts]


def ended(counted: bool) -> list[bytes]:
    """How a chat stream ends."""
    return [_delta("length"), *_usage(counted), DONE]


CHAT = Vendor(
    path="/v1/chat/completions",
    body={**SETTINGS, "messages": TURNS},
    exact={"ignore_eos": True, "min_tokens": 7},
    opening=(_delta(role="assistant", content=""),),
    noise=(
        COMMENT,
        event(**_ABOUT, object="", choices=[], prompt_filter_results=[]),
        _delta(content=""),
        _delta(),
    ),
    answers=said,
    reasoning=lambda text: _delta(content=None, reasoning_content=text),
    tool=lambda text: _delta(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": text}}]),
    ending=ended,
    finish="length",
    usage=USAGE,
    error=lambda words: event(error={"message": words, "type": "server_error", "code": None}),
    document=lambda text: as_json(
        object="chat.completion",
        choices=[{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length"}],
        usage=COUNTS,
    ),
)
COMPLETIONS = Vendor(
    path="/v1/completions",
    body={**SETTINGS, "prompt": TEXT},
    exact={"ignore_eos": True, "min_tokens": 7},
    noise=(COMMENT, _text(""), event(**_ABOUT, object="", choices=[])),
    answers=lambda texts: [_text(text) for text in texts],
    ending=lambda counted: [_text("", "length"), *_usage(counted), DONE],
    finish="length",
    usage=USAGE,
    error=CHAT.error,
    document=lambda text: as_json(
        choices=[{"index": 0, "text": text, "finish_reason": "length"}], usage=COUNTS
    ),
)
