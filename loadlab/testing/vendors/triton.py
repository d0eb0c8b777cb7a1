"""Triton's generate, for vLLM's backend and for TensorRT-LLM's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loadlab.testing.vendors import TEXT, Vendor, as_json, event

_SETTINGS = {
    "max_tokens": 7, "temperature": 0.0, "stream": True, "seed": 3, "exclude_input_in_output": True,
}  # fmt: skip
_TIMES = {"arrival_time_ns": 10, "first_token_time_ns": 30}


def _output(text: str, **more: Any) -> bytes:
    return event(model_name="m", model_version="1", text_output=text, **more)


GENERATE = Vendor(
    path="/v2/models/a%3Amodel/generate_stream",
    body={"text_input": TEXT, "parameters": _SETTINGS},
    exact={"parameters.min_tokens": 7},
    noise=(_output(""),),
    answers=lambda texts: [_output(text) for text in texts],
    marked=False,
    error=lambda words: event(error=words),
    document=lambda text: as_json(model_name="m", model_version="1", text_output=text),
    refusal=lambda words: as_json(error=words),
)
TENSORRT = replace(
    GENERATE,
    body={"text_input": TEXT, "return_perf_metrics": True, **_SETTINGS},
    exact={"min_tokens": 7},
    ending=lambda counted: [_output("", **_TIMES)],
    timings=_TIMES,
    document=lambda text: as_json(model_name="m", text_output=text, **_TIMES),
)
