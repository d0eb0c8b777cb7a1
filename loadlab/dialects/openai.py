"""OpenAI chat and text completions, as OpenAI, vLLM, SGLang, llama.cpp and the bundled server speak them.

In scope: text, reasoning text (`reasoning_content`, `reasoning`), tool calls, usage, errors inside a 200
stream. Out of scope: images, audio, several choices (only the first is read).
Source: platform.openai.com/docs/api-reference (chat, completions), read 2026-11; vLLM 0.32 for `reasoning`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.calls import post
from loadlab.dialects.sse import SseDecoder, Template


@dataclass(frozen=True, slots=True)
class OpenAI:
    """One of the two completion APIs; `path` is appended to the endpoint's base URL."""

    path: str
    chat: bool

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """A POST with a JSON body. Raises nothing: the server judges the values."""
        body: dict[str, Any] = {
            "model": endpoint.model,
            **self._input(request),
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "stream": request.stream,
        }
        if request.stream:
            body["stream_options"] = {"include_usage": True}
        if request.seed is not None:
            body["seed"] = request.seed
        if request.ignore_eos:
            body["ignore_eos"] = True
        return post(endpoint, self.path, body, prefix="/v1", stream=request.stream)

    def decoder(self, content_type: str) -> Decoder:
        """Reads an event stream as it comes, anything else as one JSON document at its end."""
        return StreamDecoder() if "event-stream" in content_type else DocumentDecoder()

    def _input(self, request: Request) -> dict[str, Any]:
        text = (
            request.prompt if request.prompt is not None else "\n".join(m.content for m in request.messages)
        )
        if not self.chat:
            return {"prompt": text}
        turns = [{"role": m.role, "content": m.content} for m in request.messages]
        return {"messages": turns or [{"role": "user", "content": text}]}


CHAT = OpenAI("/chat/completions", chat=True)
COMPLETIONS = OpenAI("/completions", chat=False)


def base_url(url: str) -> str:
    """The API's base: a URL without a path means the usual "/v1"."""
    parts = urlsplit(url.rstrip("/"))
    return urlunsplit(parts._replace(path=parts.path or "/v1", query="", fragment=""))


class _Answer:
    """What both decoders fill in."""

    __slots__ = (
        "cached_tokens", "complete", "error", "events", "finish_reason", "output_tokens", "prompt_tokens",
        "reasoning_tokens",
    )  # fmt: skip

    def __init__(self) -> None:
        self.events = 0
        self.complete = False
        self.finish_reason: str | None = None
        self.prompt_tokens: int | None = None
        self.cached_tokens: int | None = None
        self.output_tokens: int | None = None
        self.reasoning_tokens: int | None = None
        self.error: str | None = None

    def _take(self, document: Any) -> Delta | None:
        if not isinstance(document, dict):
            raise ValueError(f"expected a JSON object, got {str(document)[:80]!r}")
        if usage := document.get("usage"):
            self._count(usage)
        if error := document.get("error"):
            self.error = str(error.get("message", error) if isinstance(error, dict) else error)
        choices = document.get("choices")
        if not choices:
            return None
        choice = choices[0]
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        return _delta(choice)

    def _count(self, usage: dict[str, Any]) -> None:
        self.prompt_tokens = usage.get("prompt_tokens")
        self.output_tokens = usage.get("completion_tokens")
        self.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
        self.reasoning_tokens = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")


def _delta(choice: dict[str, Any]) -> Delta | None:
    """The output in a choice, streaming or whole, chat or text; None when it carries none."""
    part = choice.get("delta") or choice.get("message") or choice
    if text := part.get("content") or part.get("text"):
        return Delta("answer", text)
    if text := part.get("reasoning_content") or part.get("reasoning"):
        return Delta("reasoning", text)
    if part.get("tool_calls"):
        return Delta("tool", "")
    return None


class StreamDecoder(_Answer):
    """An SSE body. It is complete once a finish reason or `[DONE]` was seen."""

    __slots__ = ("_sse", "_template")

    def __init__(self) -> None:
        super().__init__()
        self._sse = SseDecoder()
        self._template = Template()

    def feed(self, data: bytes) -> list[Delta]:
        """See Decoder."""
        if self._sse.between and (text := self._template.read(data)):
            self.events += 1
            return [Delta("answer", text)]
        deltas = self._deltas(self._sse.feed(data))
        if len(deltas) == 1 and deltas[0].kind == "answer" and self.finish_reason is None:
            self._template.learn(data, deltas[0].text)
        return deltas

    def close(self) -> list[Delta]:
        """See Decoder."""
        deltas = self._deltas(self._sse.close())
        self.complete = self.complete or self.finish_reason is not None
        return deltas

    def _deltas(self, payloads: list[bytes]) -> list[Delta]:
        deltas = []
        for payload in payloads:
            self.events += 1
            if payload == b"[DONE]":
                self.complete = True
            elif delta := self._take(orjson.loads(payload)):
                deltas.append(delta)
        return deltas


class DocumentDecoder(_Answer):
    """A JSON body, decoded when it ends; its output has no arrival time of its own."""

    __slots__ = ("_body",)

    def __init__(self) -> None:
        super().__init__()
        self._body = bytearray()

    def feed(self, data: bytes) -> list[Delta]:
        """See Decoder."""
        self._body += data
        return []

    def close(self) -> list[Delta]:
        """See Decoder. Takes the whole answer; gives no Delta, for nothing was seen arriving."""
        self._take(orjson.loads(bytes(self._body)))
        self.complete = True
        return []
