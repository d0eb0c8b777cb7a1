"""llama.cpp's completion."""

from __future__ import annotations

from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import (
    CACHED,
    COMMENT,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    TEXT,
    Vendor,
    as_json,
    event,
)

_TIMINGS = {
    "cache_n": CACHED,
    "prompt_n": 6,
    "prompt_ms": 12.5,
    "predicted_n": OUTPUT_TOKENS,
    "predicted_ms": 40.0,
}


def _end(counted: bool) -> dict[str, Any]:
    counts = {"tokens_evaluated": PROMPT_TOKENS, "tokens_predicted": OUTPUT_TOKENS, "timings": _TIMINGS}
    return {"stop": True, "stop_type": "limit", **(counts if counted else {})}


COMPLETION = Vendor(
    path="/completion",
    body={"prompt": TEXT, "n_predict": 7, "temperature": 0.0, "stream": True, "seed": 3},
    exact={"ignore_eos": True},
    noise=(
        COMMENT,
        event(content="", stop=False, prompt_progress={"total": 9, "processed": 4}),
        event(content=""),
    ),
    answers=lambda texts: [event(index=0, content=text, tokens=[1], stop=False) for text in texts],
    ending=lambda counted: [event(content="", **_end(counted))],
    finish="length",
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS, CACHED),
    timings=_TIMINGS,
    error=lambda words: event(error={"code": 500, "message": words, "type": "server_error"}),
    document=lambda text: as_json(content=text, **_end(counted=True)),
)
