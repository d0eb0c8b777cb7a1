"""OpenAI transcription: sound in, text out, in one piece or as events. First token means first text.

Source: platform.openai.com/docs/api-reference/audio, types of openai 3.52; vLLM 0.33, whose events are those
of chat. Read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.audio import clip_of
from loadlab.dialects.calls import address, fitted
from loadlab.dialects.forms import form
from loadlab.dialects.sse import SseDecoder
from loadlab.dialects.usage import Usage


class Transcription:
    """`/audio/transcriptions`, a form of several parts."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect. Raises UsageError for a request without audio."""
        clip = clip_of(request)
        fields = {
            "model": endpoint.model,
            "response_format": "json",
            "stream": str(request.stream).lower(),
            "temperature": request.temperature,
        }
        kind, body = form(fitted(endpoint, fields), "clip.wav", clip, "audio/wav")
        headers = {
            "Content-Type": kind,
            "Accept": "text/event-stream" if request.stream else "application/json",
            **endpoint.headers,
        }
        url = address(endpoint, "/audio/transcriptions", "/v1")
        return Call("POST", url, headers, body)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return TranscriptAnswer(SseDecoder() if "event-stream" in content_type else Whole())


class TranscriptAnswer(Answer):
    """Ends with `transcript.text.done`, or as chat does."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        kind = document.get("type")
        if kind == "transcript.text.delta":
            if text := document.get("delta"):
                deltas.append(Delta("answer", text))
        elif kind == "transcript.text.done":
            self.complete = True
        for choice in (document.get("choices") or ())[:1]:
            if text := choice["delta"].get("content"):
                deltas.append(Delta("answer", text))
            self.finish(choice.get("finish_reason"))
        if reported := document.get("usage"):
            self._count(reported)

    def _count(self, reported: dict[str, Any]) -> None:
        if "seconds" in reported:
            self.audio_s = float(reported["seconds"])
            return
        details = reported.get("input_token_details") or {}
        self.usage = Usage(
            **{**usage.openai(reported)._asdict(), "audio_input_tokens": details.get("audio_tokens")}
        )


TRANSCRIPTION = Transcription()
