"""Bedrock: Converse, and invoke with Anthropic's messages inside."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    CACHED,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    WRITTEN,
    Vendor,
    anthropic,
    as_json,
)
from loadlab.testing.vendors.frames import CONTENT_TYPE, exception, happening

_COUNTS = {
    "inputTokens": PROMPT_TOKENS - CACHED - WRITTEN,
    "outputTokens": OUTPUT_TOKENS,
    "cacheReadInputTokens": CACHED,
    "cacheWriteInputTokens": WRITTEN,
}


def _event(kind: str, **payload: Any) -> bytes:
    return happening(kind, as_json(**payload, p="abcdefgh"))


def _delta(**delta: Any) -> bytes:
    return _event("contentBlockDelta", contentBlockIndex=0, delta=delta)


CONVERSE = Vendor(
    path="/model/a%3Amodel/converse-stream",
    body={
        "system": [{"text": "Be brief."}],
        "messages": [{"role": "user", "content": [{"text": "Grüße?"}]}],
        "inferenceConfig": {"maxTokens": 7, "temperature": 0.0},
    },
    content_type=CONTENT_TYPE,
    opening=(_event("messageStart", role="assistant"),),
    noise=(
        _event("contentBlockStart", contentBlockIndex=0, start={"toolUse": {"toolUseId": "t", "name": "f"}}),
        _delta(text=""),
    ),
    answers=lambda texts: [_delta(text=text) for text in texts],
    reasoning=lambda text: _delta(reasoningContent={"text": text}),
    tool=lambda text: _delta(toolUse={"input": text}),
    ending=lambda counted: [
        _event("contentBlockStop", contentBlockIndex=0),
        _event("messageStop", stopReason="max_tokens"),
        _event("metadata", metrics={"latencyMs": 812}, **({"usage": _COUNTS} if counted else {})),
    ],
    finish="length",
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS, CACHED, WRITTEN),
    timings={"latencyMs": 812},
    error=lambda words: exception("modelStreamErrorException", words),
    document=lambda text: as_json(
        output={"message": {"role": "assistant", "content": [{"text": text}]}},
        stopReason="max_tokens",
        usage=_COUNTS,
        metrics={"latencyMs": 812},
    ),
    refusal=lambda words: as_json(message=words),
)


def _chunk(one: anthropic.Event, **more: Any) -> bytes:
    inner = as_json(type=one[0], **one[1], **more)
    return happening("chunk", as_json(bytes=b64encode(inner).decode(), p="abc"))


_METRICS = {"invocationLatency": 900, "firstByteLatency": 300}


def _ending(counted: bool) -> list[bytes]:
    *first, last = anthropic.ending(counted)
    metrics = {"amazon-bedrock-invocationMetrics": _METRICS}
    return [*(_chunk(one) for one in first), _chunk(last, **metrics)]


INVOKE = Vendor(
    path="/model/a%3Amodel/invoke-with-response-stream",
    body={**anthropic.ASKED, "anthropic_version": "bedrock-2023-05-31"},
    content_type=CONTENT_TYPE,
    opening=[_chunk(one) for one in anthropic.OPENING],
    noise=[_chunk(one) for one in anthropic.NOISE],
    answers=lambda texts: [_chunk(one) for one in anthropic.answers(texts)],
    reasoning=lambda text: _chunk(anthropic.reasoning(text)),
    tool=lambda text: _chunk(anthropic.tool(text)),
    ending=_ending,
    finish="length",
    usage=anthropic.USAGE,
    timings=_METRICS,
    error=lambda words: exception("throttlingException", words),
    document=anthropic.document,
    refusal=CONVERSE.refusal,
)
