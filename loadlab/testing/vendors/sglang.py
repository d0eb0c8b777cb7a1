"""SGLang's generate: every event repeats the text so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import CACHED, DONE, OUTPUT_TOKENS, PROMPT_TOKENS, TEXT, Vendor, as_json, event

_END = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "cached_tokens": CACHED,
    "e2e_latency": 0.25,
}


def _meta(**more: Any) -> dict[str, Any]:
    return {"id": "1", "finish_reason": None, **more}


def _answers(texts: Sequence[str]) -> list[bytes]:
    so_far = ["".join(texts[: count + 1]) for count in range(len(texts))]
    return [event(text=text, meta_info=_meta(completion_tokens=n)) for n, text in enumerate(so_far, 1)]


def _ending(counted: bool) -> list[bytes]:
    counts = _END if counted else {}
    # Its last event repeats the count of the one before: the same text, and now why it ended.
    return [event(text="all of it", meta_info=_meta(**{**counts, "finish_reason": {"type": "length"}})), DONE]


GENERATE = Vendor(
    path="/generate",
    body={"text": TEXT, "sampling_params": {"max_new_tokens": 7, "temperature": 0.0}, "stream": True},
    exact={"sampling_params.ignore_eos": True, "sampling_params.min_new_tokens": 7},
    noise=(event(text="", meta_info=_meta(completion_tokens=0)),),
    answers=_answers,
    ending=_ending,
    finish="length",
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS, CACHED),
    timings={"e2e_latency": 0.25},
    error=lambda words: event(error={"message": words, "type": "BadRequest", "code": 400}),
    document=lambda text: as_json(
        text=text, meta_info=_meta(**{**_END, "finish_reason": {"type": "length"}})
    ),
)
