"""Deepgram: written down over HTTP, live over WebSocket, and spoken."""

from __future__ import annotations

from typing import Any

from loadlab.testing.vendors import CLIP_S, REQUEST, TEXT, Vendor, as_json
from loadlab.testing.vendors.speech import PIECE, PIECE_S

assert REQUEST.audio


def _results(text: str) -> bytes:
    channel = {"alternatives": [{"transcript": text, "confidence": 0.9}]}
    return as_json(type="Results", is_final=False, channel=channel)


def _refusal(words: str) -> bytes:
    return as_json(err_code="Bad Request", err_msg=words, request_id="1")


LISTEN = Vendor(
    path="/v1/listen?model=a%3Amodel",
    body=REQUEST.audio,
    headers={"Content-Type": "audio/wav"},
    audio_s=CLIP_S,
    document=lambda text: as_json(
        metadata={"duration": CLIP_S}, results={"channels": [{"alternatives": [{"transcript": text}]}]}
    ),
    refusal=_refusal,
)


def _ending(counted: bool) -> list[bytes]:
    duration: dict[str, Any] = {"duration": CLIP_S} if counted else {}
    return [as_json(type="Metadata", **duration)]


LIVE = Vendor(
    path="/v1/listen?model=a%3Amodel&encoding=linear16&sample_rate=16000&interim_results=true",
    body=b'{"type": "CloseStream"}',
    content_type="",
    opening=(as_json(type="SpeechStarted", timestamp=0.0),),
    noise=(_results(""),),
    answers=lambda texts: [_results(text) for text in texts],
    ending=_ending,
    audio_s=CLIP_S,
    error=lambda words: as_json(type="Error", description=words),
    refusal=_refusal,
    conversation=True,
)
SPEAK = Vendor(
    path="/v1/speak?model=a%3Amodel&encoding=linear16&container=none&sample_rate=24000",
    body={"text": TEXT},
    content_type="audio/l16;rate=24000",
    answers=lambda texts: [PIECE for _ in texts],
    marked=False,
    audio_s=PIECE_S,
    refusal=_refusal,
    sound=True,
)
