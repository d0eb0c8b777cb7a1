"""Deepgram: speech written down over HTTP and live over WebSocket, and text spoken.

Live, a clip is sent as fast as the wire takes it, in frames of a quarter of a second; interim results count
as output, for a caller sees them. First token means first transcript, or first sound.
Source: deepgram-sdk 7.17 (listen v1, speak v1), read 2026-11.
"""

from __future__ import annotations

import json
from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Each, Refusal, Whole
from loadlab.dialects.audio import RATE, clip_of, pcm_of
from loadlab.dialects.calls import address, post, text_of
from loadlab.dialects.speech import sound_decoder

_FRAMES_PER_S = 4
_BYTES_PER_SAMPLE = 2


class Listen:
    """`/v1/listen` over HTTP: one clip, one answer in one piece."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect. Raises UsageError for a request without audio."""
        headers = {"Content-Type": "audio/wav", "Accept": "application/json", **endpoint.headers}
        return Call("POST", address(endpoint, "/listen?model={model}", "/v1"), headers, clip_of(request))

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return ListenAnswer(Whole())


class ListenAnswer(Answer):
    """The whole transcript; `metadata` says how long the sound was."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        duration = (document.get("metadata") or {}).get("duration")
        self.audio_s = None if duration is None else float(duration)
        if "results" not in document and not self.error:
            raise ValueError("the answer has no results")


class Live:
    """`/v1/listen` over WebSocket."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect. Raises UsageError for a request without audio."""
        samples, rate = pcm_of(clip_of(request))
        step = rate * _BYTES_PER_SAMPLE // _FRAMES_PER_S
        frames = [samples[at : at + step] for at in range(0, len(samples), step)]
        query = f"model={{model}}&encoding=linear16&sample_rate={rate}&interim_results=true"
        url = address(endpoint, f"/listen?{query}", "/v1").replace("http", "ws", 1)
        closing = json.dumps({"type": "CloseStream"})
        return Call(
            "GET", url, endpoint.headers, messages=(*frames, closing), last=(b'"Metadata"', b'"Error"')
        )

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect. A refused upgrade is an answer in one piece."""
        return Refusal(Whole()) if "json" in content_type else LiveAnswer(Each())


class LiveAnswer(Answer):
    """Ends with `Metadata`, which comes when the stream was closed and says how long the sound was."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        match document.get("type"):
            case "Results":
                if text := document["channel"]["alternatives"][0]["transcript"]:
                    deltas.append(Delta("answer", text))
            case "Metadata":
                self.audio_s = float(document.get("duration") or 0) or None
                self.complete = True
            case "Error":
                self.error = str(document.get("description") or document)


class Speak:
    """`/v1/speak` over HTTP."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        path = f"/speak?model={{model}}&encoding=linear16&container=none&sample_rate={RATE}"
        return post(endpoint, path, {"text": text_of(request)}, prefix="/v1", headers={"Accept": "*/*"})

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return sound_decoder(content_type, Refusal)


LISTEN = Listen()
LIVE = Live()
SPEAK = Speak()
