"""Text Generation Inference's own generate. One event per token.

No exact length: its parameters have neither `ignore_eos` nor a minimum. Temperature 0 is refused there, and
means greedy, which is what `do_sample: false` says.
Source: huggingface/text-generation-inference docs/openapi.json, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder
from loadlab.dialects.usage import Usage


class Generate:
    """`/generate_stream`, or `/generate` for an answer in one piece."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = generate_body(request)
        return post(endpoint, f"/generate{'_stream' * request.stream}", body, stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return GenerateAnswer(SseDecoder() if "event-stream" in content_type else Whole())


def generate_body(request: Request) -> dict[str, Any]:
    """What every carrier of this language is told."""
    parameters: dict[str, Any] = {
        "max_new_tokens": request.max_tokens,
        "details": True,
        "do_sample": request.temperature > 0,
    }
    if request.temperature > 0:
        parameters["temperature"] = request.temperature
    if request.seed is not None:
        parameters["seed"] = request.seed
    return {"inputs": text_of(request), "parameters": parameters}


class GenerateAnswer(Answer):
    """Ends with the event that has the whole text. Special tokens (end of text) are no output."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if (token := document.get("token")) and token["text"] and not token.get("special"):
            deltas.append(Delta("answer", token["text"]))
        if details := document.get("details"):
            self.finish(details.get("finish_reason"))
            self.usage = Usage(details.get("input_length"), details.get("generated_tokens"))
        if document.get("generated_text") is not None:
            self.complete = True


GENERATE = Generate()
