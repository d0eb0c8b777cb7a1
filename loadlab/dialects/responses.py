"""OpenAI responses, as OpenAI, Azure, vLLM, llama.cpp and LM Studio speak them.

In scope: text, reasoning, refusals, function calls, usage, failure. Out of scope: built-in tools, background
responses, images. Nothing is stored at the vendor (`store` is false).
Source: platform.openai.com/docs/api-reference/responses, types of openai 3.52, read 2026-11.
"""

from __future__ import annotations

from typing import Any, Literal

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Whole, words
from loadlab.dialects.calls import instructions, post, turns
from loadlab.dialects.sse import SseDecoder

_KINDS: dict[str, Literal["answer", "reasoning", "tool"]] = {
    "response.output_text.delta": "answer",
    "response.refusal.delta": "answer",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.function_call_arguments.delta": "tool",
}
_ENDS = ("response.completed", "response.incomplete", "response.failed")


class Responses:
    """OpenAI asks for at least 16 tokens; fewer are refused in its own words."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body: dict[str, Any] = {
            "model": endpoint.model,
            "input": [{"role": role, "content": text} for role, text in turns(request)],
            "max_output_tokens": request.max_tokens,
            "temperature": request.temperature,
            "store": False,
            "stream": request.stream,
        }
        if system := instructions(request):
            body["instructions"] = system
        if request.ignore_eos:
            body["ignore_eos"] = True
        return post(endpoint, "/responses", body, prefix="/v1", stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return ResponsesAnswer(SseDecoder() if "event-stream" in content_type else Whole())


class ResponsesAnswer(Answer):
    """Ends with `response.completed`, `.incomplete` or `.failed`."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        event = document.get("type", "")
        if kind := _KINDS.get(event):
            if text := document.get("delta"):
                deltas.append(Delta(kind, text))
        elif event in _ENDS:
            self._end(document["response"])
        elif event == "error":
            self.error = words(document.get("error") or document)
        elif document.get("object") == "response":
            self._end(document)

    def _end(self, response: dict[str, Any]) -> None:
        self.complete = True
        if reported := response.get("usage"):
            self.usage = usage.openai(reported)
        if error := response.get("error"):
            self.error = words(error)
        self.finish((response.get("incomplete_details") or {}).get("reason") or response.get("status"))


RESPONSES = Responses()
