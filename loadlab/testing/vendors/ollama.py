"""Ollama's chat."""

from __future__ import annotations

from typing import Any

from loadlab.dialects.usage import Usage
from loadlab.testing.vendors import MODEL, OUTPUT_TOKENS, PROMPT_TOKENS, TURNS, Vendor, as_json

_TIMES = {"total_duration": 90, "load_duration": 10, "prompt_eval_duration": 20, "eval_duration": 60}


def _line(done: bool = False, **message: Any) -> bytes:
    return as_json(model=MODEL, message={"role": "assistant", **message}, done=done) + b"\n"


def _end(text: str, counted: bool) -> bytes:
    counts = {"prompt_eval_count": PROMPT_TOKENS, "eval_count": OUTPUT_TOKENS, **_TIMES} if counted else {}
    message = {"role": "assistant", "content": text}
    return as_json(model=MODEL, message=message, done=True, done_reason="length", **counts) + b"\n"


CHAT = Vendor(
    path="/api/chat",
    body={
        "model": MODEL,
        "messages": TURNS,
        "stream": True,
        "options": {"num_predict": 7, "temperature": 0.0, "seed": 3},
    },
    content_type="application/x-ndjson",
    noise=(_line(content=""),),
    answers=lambda texts: [_line(content=text) for text in texts],
    reasoning=lambda text: _line(content="", thinking=text),
    tool=lambda text: _line(content="", tool_calls=[{"function": {"name": "f", "arguments": text}}]),
    ending=lambda counted: [_end("", counted)],
    finish="length",
    usage=Usage(PROMPT_TOKENS, OUTPUT_TOKENS),
    timings=_TIMES,
    error=lambda words: as_json(error=words) + b"\n",
    document=lambda text: _end(text, counted=True),
    refusal=lambda words: as_json(error=words),
)
