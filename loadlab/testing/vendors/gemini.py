"""Gemini."""

from __future__ import annotations

from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    CACHED,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REASONED,
    Vendor,
    as_json,
    event,
)

_TOOLS = 3
_COUNTS = {
    "promptTokenCount": PROMPT_TOKENS - _TOOLS,
    "toolUsePromptTokenCount": _TOOLS,
    "cachedContentTokenCount": CACHED,
    "candidatesTokenCount": OUTPUT_TOKENS - REASONED,
    "thoughtsTokenCount": REASONED,
    "totalTokenCount": PROMPT_TOKENS + OUTPUT_TOKENS,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 6}, {"modality": "AUDIO", "tokenCount": 2}],
}


def _candidate(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **more}]}


def _error(words: str) -> dict[str, Any]:
    return {"error": {"code": 503, "message": words, "status": "UNAVAILABLE"}}


GENERATE = Vendor(
    path="/v1beta/models/a%3Amodel:streamGenerateContent?alt=sse",
    body={
        "contents": [{"role": "user", "parts": [{"text": "Grüße?"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {"maxOutputTokens": 7, "temperature": 0.0, "seed": 3},
    },
    opening=(event(usageMetadata={"promptTokenCount": 8}),),
    noise=(event(**_candidate({"text": ""})), event(**_candidate()), event(promptFeedback={})),
    answers=lambda texts: [event(**_candidate({"text": text})) for text in texts],
    reasoning=lambda text: event(**_candidate({"text": text, "thought": True})),
    tool=lambda text: event(**_candidate({"functionCall": {"name": "f", "args": text}})),
    ending=lambda counted: [
        event(**_candidate(finishReason="MAX_TOKENS"), **({"usageMetadata": _COUNTS} if counted else {}))
    ],
    finish="length",
    usage=Usage(
        PROMPT_TOKENS, OUTPUT_TOKENS, CACHED, None, REASONED, audio_input_tokens=2, tool_tokens=_TOOLS
    ),
    error=lambda words: event(**_error(words)),
    document=lambda text: as_json(
        **_candidate({"text": text}, finishReason="MAX_TOKENS"), usageMetadata=_COUNTS
    ),
    refusal=lambda words: b"[" + as_json(**_error(words)) + b"]",
)
