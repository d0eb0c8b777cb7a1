"""Anthropic messages: at Anthropic, on Vertex, and from vLLM, SGLang, llama.cpp and Ollama.

In scope: text, thinking, tool calls, cumulative usage, errors inside a 200 stream. Out of scope: images,
citations (no output of their own), server-side tools. Bedrock's way of carrying it is in bedrock.py.
Source: docs.anthropic.com (messages, streaming), types of the vendor's SDK 2.11, read 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Cutter, Whole
from loadlab.dialects.calls import instructions, post, turns
from loadlab.dialects.sse import SseDecoder

VERSION = "2023-06-01"
_VERTEXVERSION = "vertex-2023-10-16"


@dataclass(frozen=True, slots=True)
class Anthropic:
    """Anthropic messages. On Vertex the model is in the path and the version in the body."""

    vertex: bool = False

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = messages_body(request)
        if self.vertex:
            verb = "streamRawPredict" if request.stream else "rawPredict"
            body |= {"anthropic_version": _VERTEXVERSION, "stream": request.stream}
            return post(endpoint, f"/models/{{model}}:{verb}", body, stream=request.stream)
        body |= {"model": endpoint.model, "stream": request.stream}
        headers = {"anthropic-version": VERSION}
        return post(endpoint, "/messages", body, prefix="/v1", stream=request.stream, headers=headers)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return MessagesAnswer(SseDecoder() if "event-stream" in content_type else Whole())


def messages_body(request: Request) -> dict[str, Any]:
    """What every carrier of this language is told."""
    body: dict[str, Any] = {
        "max_tokens": request.max_tokens,
        "messages": [{"role": role, "content": text} for role, text in turns(request)],
        "temperature": request.temperature,
    }
    if system := instructions(request):
        body["system"] = system
    return body


class MessagesAnswer(Answer):
    """Ends with `message_stop`. Input is counted at the start, output at the end; the latest count holds."""

    __slots__ = ("_usage",)

    def __init__(self, cutter: Cutter) -> None:
        super().__init__(cutter)
        self._usage: dict[str, Any] = {}

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        match document.get("type"):
            case "content_block_delta":
                _delta(document["delta"], deltas)
            case "message_start":
                self._count(document["message"].get("usage"))
            case "message_delta":
                self.finish(document["delta"].get("stop_reason"))
                self._count(document.get("usage"))
            case "message_stop":
                self.complete = True
            case "message":
                self.finish(document.get("stop_reason"))
                self._count(document.get("usage"))

    def _count(self, reported: dict[str, Any] | None) -> None:
        self._usage |= {name: value for name, value in (reported or {}).items() if value is not None}
        self.usage = usage.anthropic(self._usage)


def _delta(part: dict[str, Any], deltas: list[Delta]) -> None:
    if text := part.get("text"):
        deltas.append(Delta("answer", text))
    elif text := part.get("thinking"):
        deltas.append(Delta("reasoning", text))
    elif text := part.get("partial_json"):
        deltas.append(Delta("tool", text))


MESSAGES = Anthropic()
VERTEX = Anthropic(vertex=True)
