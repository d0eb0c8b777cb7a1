"""Gemini's generateContent, at Google AI and on Vertex.

In scope: text, thoughts, function calls, running usage, blocked prompts. Out of scope: images, grounding.
Source: ai.google.dev/api/generate-content, google-genai 3.4, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import instructions, post, turns
from loadlab.dialects.sse import SseDecoder

_ROLES = {"assistant": "model"}


class Gemini:
    """The model is in the path, and so is whether to stream; events only with `alt=sse`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        settings: dict[str, Any] = {
            "maxOutputTokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.seed is not None:
            settings["seed"] = request.seed
        body: dict[str, Any] = {
            "contents": [
                {"role": _ROLES.get(role, role), "parts": [{"text": text}]} for role, text in turns(request)
            ],
            "generationConfig": settings,
        }
        if system := instructions(request):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        verb = "streamGenerateContent?alt=sse" if request.stream else "generateContent"
        return post(endpoint, f"/models/{{model}}:{verb}", body, prefix="/v1beta", stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return GeminiAnswer(SseDecoder() if "event-stream" in content_type else Whole())


class GeminiAnswer(Answer):
    """Ends with a finish reason; usage comes with every event, and the last one counts."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if reported := document.get("usageMetadata"):
            self.usage = usage.gemini(reported)
        if reason := (document.get("promptFeedback") or {}).get("blockReason"):
            self.error = f"the prompt was blocked: {reason}"
        for candidate in (document.get("candidates") or ())[:1]:
            for part in (candidate.get("content") or {}).get("parts") or ():
                _part(part, deltas)
            if reason := candidate.get("finishReason"):
                self.finish(reason)
                self.complete = True


def _part(part: dict[str, Any], deltas: list[Delta]) -> None:
    if text := part.get("text"):
        deltas.append(Delta("reasoning" if part.get("thought") else "answer", text))
    elif call := part.get("functionCall"):
        deltas.append(Delta("tool", str(call.get("args") or "")))


GENERATE = Gemini()
