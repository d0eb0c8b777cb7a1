"""OpenAI transcription."""

from __future__ import annotations

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    COMMENT,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REQUEST,
    Vendor,
    as_json,
    named,
)

_COUNTS = {
    "type": "tokens",
    "input_tokens": PROMPT_TOKENS,
    "input_token_details": {"text_tokens": 1, "audio_tokens": PROMPT_TOKENS - 1},
    "output_tokens": OUTPUT_TOKENS,
}
assert REQUEST.audio

TRANSCRIPTION = Vendor(
    path="/v1/audio/transcriptions",
    body=b'filename="clip.wav"\r\nContent-Type: audio/wav\r\n\r\n' + REQUEST.audio + b"\r\n--",
    noise=(COMMENT, named("transcript.text.delta", delta="")),
    answers=lambda texts: [named("transcript.text.delta", delta=text) for text in texts],
    ending=lambda counted: [
        named("transcript.text.done", text="all of it", **({"usage": _COUNTS} if counted else {}))
    ],
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS, audio_input_tokens=PROMPT_TOKENS - 1),
    error=lambda words: named("error", error={"message": words}),
    document=lambda text: as_json(text=text, usage=_COUNTS),
)
