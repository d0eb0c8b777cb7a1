"""OpenAI speech: text in, sound out, as bytes or as events. First token means first sound.

Sound is asked for as 16-bit PCM of 24 kHz. The voice is the target's params.voice ("alloy").
Source: platform.openai.com/docs/api-reference/audio, types of openai 3.52, read 2026-11.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Refusal, Whole
from loadlab.dialects.audio import RATE, Sound
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder


class Speech:
    """`/audio/speech`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = {
            "model": endpoint.model,
            "input": text_of(request),
            "voice": endpoint.params.get("voice", "alloy"),
            "response_format": "pcm",
        }
        return post(endpoint, "/audio/speech", body, prefix="/v1", headers={"Accept": "*/*"})

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return sound_decoder(content_type, SpeechAnswer)


def sound_decoder(content_type: str, events: type[Answer]) -> Decoder:
    """A decoder of sound that comes as events, which `events` reads, or as it is."""
    if "event-stream" in content_type:
        return events(SseDecoder())
    return Refusal(Whole()) if "json" in content_type else Sound()


class SpeechAnswer(Answer):
    """Ends with `speech.audio.done`, which counts."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if sound := document.get("audio"):
            self.audio_s = (self.audio_s or 0.0) + len(b64decode(sound)) / (2 * RATE)
            deltas.append(Delta("answer", ""))
        elif document.get("type") == "speech.audio.done":
            self.complete = True
            self.usage = usage.openai(document.get("usage") or {})


SPEECH = Speech()
