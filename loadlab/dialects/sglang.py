"""SGLang's own generate. Its server also speaks OpenAI chat, Anthropic messages and Ollama's language.

The text of an event is all text so far, or only what is new, as the server was started; counts tell whether
an event brought output. Exact length by `ignore_eos` and a minimum.
Source: sgl-project/sglang 0.5.23, http_server.py and sampling_params.py, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Cutter, Whole
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder
from loadlab.dialects.usage import Usage

_TIMES = (
    "e2e_latency", "queue_time", "first_token_latency", "decode_throughput", "request_received_ts",
    "forward_entry_time", "prefill_finished_time", "request_finished_ts",
)  # fmt: skip


class Generate:
    """`/generate`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        sampling: dict[str, Any] = {
            "max_new_tokens": request.max_tokens,
            "temperature": request.temperature,
        }
        if request.ignore_eos:
            sampling |= {"ignore_eos": True, "min_new_tokens": request.max_tokens}
        body = {"text": text_of(request), "sampling_params": sampling, "stream": request.stream}
        return post(endpoint, "/generate", body, stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return GenerateAnswer(SseDecoder() if "event-stream" in content_type else Whole())


class GenerateAnswer(Answer):
    """Ends with `[DONE]`; an aborted request says so in its finish reason."""

    __slots__ = ("_seen", "_text")

    def __init__(self, cutter: Cutter) -> None:
        super().__init__(cutter)
        self._seen = 0
        self._text = ""

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        meta = document.get("meta_info") or {}
        counted = meta.get("completion_tokens") or 0
        if counted > self._seen:
            self._seen = counted
            deltas.append(Delta("answer", self._new(document.get("text") or "")))
        if meta:
            self.usage = Usage(
                prompt_tokens=meta.get("prompt_tokens"),
                output_tokens=meta.get("completion_tokens"),
                cached_tokens=meta.get("cached_tokens"),
                reasoning_tokens=meta.get("reasoning_tokens"),
            )
            self.keep_times(meta, _TIMES)
        if reason := meta.get("finish_reason"):
            self._end(reason)

    def _new(self, text: str) -> str:
        known, self._text = self._text, text
        return text[len(known) :] if known and text.startswith(known) else text

    def _end(self, reason: dict[str, Any]) -> None:
        self.finish(reason.get("type"))
        if reason.get("type") == "abort":
            self.error = str(reason.get("message") or "the server aborted the request")


GENERATE = Generate()
