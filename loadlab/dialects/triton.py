"""Triton's generate extension: as vLLM's backend wants it, and as TensorRT-LLM's does.

There is no usage and no end mark: tokens are not counted and the end of the body is the end. The prompt is
not to be repeated in the answer, which TensorRT-LLM would do unless told not to.
Source: triton-inference-server docs/protocol/extension_generate.md, tensorrtllm_backend docs, read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder

_TIMES = ("arrival_time_ns", "first_scheduled_time_ns", "first_token_time_ns", "last_token_time_ns")


@dataclass(frozen=True, slots=True)
class Triton:
    """`tensorrt` puts every setting at the top; else they are parameters."""

    tensorrt: bool

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body: dict[str, Any] = {"text_input": text_of(request)}
        settings = _settings(request)
        if self.tensorrt:
            body |= settings | {"exclude_input_in_output": True, "return_perf_metrics": True}
        else:
            body["parameters"] = settings | {"exclude_input_in_output": True}
        path = f"/models/{{model}}/generate{'_stream' * request.stream}"
        return post(endpoint, path, body, prefix="/v2", stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return TritonAnswer(SseDecoder() if "event-stream" in content_type else Whole())


def _settings(request: Request) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream": request.stream,
    }
    if request.ignore_eos:
        settings["min_tokens"] = request.max_tokens
    if request.seed is not None:
        settings["seed"] = request.seed
    return settings


class TritonAnswer(Answer):
    """The output's text; an error comes with status 200 too."""

    __slots__ = ()

    marked = False

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if text := document.get("text_output"):
            deltas.append(Delta("answer", str(text)))
        self.keep_times(document, _TIMES)


GENERATE = Triton(tensorrt=False)
TENSORRT = Triton(tensorrt=True)
