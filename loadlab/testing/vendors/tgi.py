"""Text Generation Inference."""

from __future__ import annotations

from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import OUTPUT_TOKENS, PROMPT_TOKENS, TEXT, Vendor, as_json, event

BODY = {
    "inputs": TEXT,
    "parameters": {"max_new_tokens": 7, "details": True, "do_sample": False, "seed": 3},
}
COMMENT = b":\n\n"


def _token(text: str, **more: Any) -> bytes:
    token = {"id": 1, "text": text, "logprob": -0.5, "special": False}
    return event(**{"index": 1, "token": token, "generated_text": None, "details": None, **more})


def _ending(counted: bool) -> list[bytes]:
    last = {"id": 2, "text": "</s>", "logprob": -0.1, "special": True}
    details: dict[str, Any] = {"finish_reason": "length"}
    if counted:
        details |= {"generated_tokens": OUTPUT_TOKENS, "input_length": PROMPT_TOKENS}
    return [_token("", token=last, generated_text="all of it", details=details)]


GENERATE = Vendor(
    path="/generate_stream",
    body=BODY,
    noise=(COMMENT, _token("")),
    answers=lambda texts: [_token(text) for text in texts],
    ending=_ending,
    finish="length",
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS),
    error=lambda words: event(error=words, error_type="generation"),
    document=lambda text: as_json(
        generated_text=text,
        details={
            "finish_reason": "length", "generated_tokens": OUTPUT_TOKENS, "input_length": PROMPT_TOKENS,
        },
    ),
    refusal=lambda words: as_json(error=words, error_type="validation"),
)  # fmt: skip
