"""Cartesia: text spoken, as events over HTTP, as bytes over HTTP, and over WebSocket.

Sound is asked for as raw 16-bit PCM of 24 kHz. The voice is the target's params.voice. The server's
`step_time` of the first piece is kept.
Source: cartesia 4.2 (its SDK), read 2026-11; the WebSocket's path is the documented one, not seen live.
"""

from __future__ import annotations

import json
from base64 import b64decode
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Each
from loadlab.dialects.audio import RATE
from loadlab.dialects.calls import address, fitted, post, text_of
from loadlab.dialects.speech import sound_decoder

_VERSION = {"Cartesia-Version": "2026-08-14"}
_LAST = (b'"done":true', b'"done": true', b'"error"')
_contexts = count(1)


@dataclass(frozen=True, slots=True)
class Cartesia:
    """One of the three ways to `/tts`."""

    way: Literal["bytes", "sse", "websocket"]

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = {
            "model_id": endpoint.model,
            "transcript": text_of(request),
            "voice": {"mode": "id", "id": endpoint.params.get("voice", "")},
            "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": RATE},
        }
        if self.way != "websocket":
            return post(endpoint, f"/tts/{self.way}", body, headers={**_VERSION, "Accept": "*/*"})
        said = json.dumps({**fitted(endpoint, body), "context_id": str(next(_contexts))})
        url = address(endpoint, "/tts/websocket").replace("http", "ws", 1)
        return Call("GET", url, {**_VERSION, **endpoint.headers}, messages=(said,), last=_LAST)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        if self.way == "websocket" and "json" not in content_type:
            return SoundAnswer(Each())
        return sound_decoder(content_type, SoundAnswer)


class SoundAnswer(Answer):
    """Ends with `done`. Timestamps and flushes are no sound."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        match document.get("type"):
            case "chunk" if document.get("data"):
                self.audio_s = (self.audio_s or 0.0) + len(b64decode(document["data"])) / (2 * RATE)
                if not self.server_timings:
                    self.keep_times(document, ("step_time",))
                deltas.append(Delta("answer", ""))
            case "done":
                self.complete = True
            case "error":
                self.error = str(document.get("message") or document.get("error") or document)


BYTES = Cartesia("bytes")
EVENTS = Cartesia("sse")
LIVE = Cartesia("websocket")
