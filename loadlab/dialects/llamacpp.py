"""llama.cpp's own completion. Its server also speaks OpenAI chat and Anthropic messages.

In scope: text, counts, timings, errors inside a 200 stream. Exact length by `ignore_eos`.
Source: ggml-org/llama.cpp tools/server/README.md, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder
from loadlab.dialects.usage import Usage

TIMES = ("prompt_n", "prompt_ms", "predicted_n", "predicted_ms", "cache_n", "draft_n", "draft_n_accepted")


class Completion:
    """`/completion`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body: dict[str, Any] = {
            "prompt": text_of(request),
            "n_predict": request.max_tokens,
            "temperature": request.temperature,
            "stream": request.stream,
        }
        if request.seed is not None:
            body["seed"] = request.seed
        if request.ignore_eos:
            body["ignore_eos"] = True
        return post(endpoint, "/completion", body, stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return CompletionAnswer(SseDecoder() if "event-stream" in content_type else Whole())


class CompletionAnswer(Answer):
    """Ends with `stop: true`, the event that counts."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if text := document.get("content"):
            deltas.append(Delta("answer", text))
        if document.get("stop") is True:
            self.complete = True
            timings = document.get("timings") or {}
            self.keep_times(timings, TIMES)
            self.finish(document.get("stop_type"))
            self.usage = Usage(
                prompt_tokens=document.get("tokens_evaluated"),
                output_tokens=document.get("tokens_predicted", timings.get("predicted_n")),
                cached_tokens=timings.get("cache_n"),
            )


COMPLETION = Completion()
