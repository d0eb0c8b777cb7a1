"""Cartesia: events, bytes, WebSocket."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from typing import Any

from loadlab.testing.vendors import MODEL, TEXT, Vendor, as_json, event
from loadlab.testing.vendors.speech import PIECE, PIECE_S

_ASKED = {
    "model_id": MODEL,
    "transcript": TEXT,
    "voice": {"mode": "id", "id": ""},
    "output_format": {"container": "raw", "encoding": "pcm_s16le", "sample_rate": 24000},
}
_CHUNK = {
    "type": "chunk",
    "data": b64encode(PIECE).decode(),
    "done": False,
    "status_code": 206,
    "step_time": 40.5,
}
_NOISE: tuple[dict[str, Any], ...] = (
    {"type": "timestamps", "word_timestamps": {"words": ["a"]}},
    {"type": "flush_done"},
)
_DONE = {"type": "done", "done": True, "status_code": 200}


def _error(words: str) -> dict[str, Any]:
    return {"type": "error", "done": True, "status_code": 500, "error_code": "oops", "message": words}


EVENTS = Vendor(
    path="/tts/sse",
    body=_ASKED,
    headers={"Cartesia-Version": "2026-08-14"},
    noise=[event(**one) for one in _NOISE],
    answers=lambda texts: [event(**_CHUNK) for _ in texts],
    ending=lambda counted: [event(**_DONE)],
    timings={"step_time": 40.5},
    audio_s=PIECE_S,
    error=lambda words: event(**_error(words)),
    refusal=lambda words: as_json(error_code="bad", message=words),
    sound=True,
)
BYTES = replace(
    EVENTS,
    path="/tts/bytes",
    content_type="application/octet-stream",
    noise=(),
    answers=lambda texts: [PIECE for _ in texts],
    ending=lambda counted: (),
    marked=False,
    timings=None,
    error=None,
)
LIVE = replace(
    EVENTS,
    path="/tts/websocket",
    body=b'"transcript": "Be brief.',
    content_type="",
    noise=[as_json(**one) for one in _NOISE],
    answers=lambda texts: [as_json(**_CHUNK) for _ in texts],
    ending=lambda counted: [as_json(**_DONE)],
    error=lambda words: as_json(**_error(words)),
    conversation=True,
)
