"""OpenAI responses."""

from __future__ import annotations

from typing import Any

from loadlab.testing.vendors import (
    CACHED,
    COMMENT,
    MODEL,
    OUTPUT_TOKENS,
    PROMPT_TOKENS,
    REASONED,
    Vendor,
    as_json,
    named,
)
from loadlab.testing.vendors.openai import USAGE

_COUNTS = {
    "input_tokens": PROMPT_TOKENS,
    "input_tokens_details": {"cached_tokens": CACHED},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": REASONED},
    "total_tokens": PROMPT_TOKENS + OUTPUT_TOKENS,
}


def _response(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": status, "output": [], **more}


def _cut_off(counted: bool) -> dict[str, Any]:
    usage = _COUNTS if counted else None
    return _response("incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=usage)


RESPONSES = Vendor(
    path="/v1/responses",
    body={
        "model": MODEL,
        "instructions": "Be brief.",
        "input": [{"role": "user", "content": "Grüße?"}],
        "max_output_tokens": 7,
        "temperature": 0.0,
        "store": False,
        "stream": True,
    },
    exact={"ignore_eos": True},
    opening=(
        named("response.created", sequence_number=0, response=_response("in_progress", usage=None)),
        named("response.in_progress", sequence_number=1, response=_response("in_progress", usage=None)),
    ),
    noise=(
        COMMENT,
        named("response.output_item.added", output_index=0, item={"type": "message", "content": []}),
        named("response.content_part.added", part={"type": "output_text", "text": ""}),
        named("response.output_text.delta", delta=""),
    ),
    answers=lambda texts: [named("response.output_text.delta", delta=text) for text in texts],
    reasoning=lambda text: named("response.reasoning_summary_text.delta", delta=text),
    tool=lambda text: named("response.function_call_arguments.delta", delta=text),
    ending=lambda counted: [
        named("response.output_text.done", text="all of it"),
        named("response.incomplete", response=_cut_off(counted)),
    ],
    finish="length",
    usage=USAGE,
    error=lambda words: named("error", code="server_error", message=words, param=None),
    document=lambda text: as_json(**_cut_off(counted=True)),
)
