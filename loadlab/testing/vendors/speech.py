"""OpenAI speech, as events; as plain sound it is as Deepgram's and Cartesia's."""

from __future__ import annotations

from base64 import b64encode

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import COMMENT, MODEL, OUTPUT_TOKENS, PROMPT_TOKENS, TEXT, Vendor, named

PIECE_S = 0.02
PIECE = bytes(960)
"""A piece of sound: 20 ms of 16-bit PCM at 24 kHz."""

_COUNTS = {"input_tokens": PROMPT_TOKENS, "output_tokens": OUTPUT_TOKENS}

SPEECH = Vendor(
    path="/v1/audio/speech",
    body={"model": MODEL, "input": TEXT, "voice": "alloy", "response_format": "pcm"},
    noise=(COMMENT, named("speech.audio.delta", audio="")),
    answers=lambda texts: [named("speech.audio.delta", audio=b64encode(PIECE).decode()) for _ in texts],
    ending=lambda counted: [named("speech.audio.done", **({"usage": _COUNTS} if counted else {}))],
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS),
    audio_s=PIECE_S,
    error=lambda words: named("error", error={"message": words}),
    sound=True,
)
