"""Ollama's own chat: a line of JSON per event. Its server also speaks OpenAI chat and Anthropic messages.

In scope: text, thinking, tool calls, counts, durations, errors as a line. No exact length: there is no
`ignore_eos`.
Source: ollama/ollama docs/api.md, read 2026-11.
"""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta
from loadlab.dialects.answer import Answer, Lines, Whole
from loadlab.dialects.calls import post
from loadlab.dialects.usage import Usage

_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")


class Chat:
    """`/api/chat`."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        options: dict[str, Any] = {"num_predict": request.max_tokens, "temperature": request.temperature}
        if request.seed is not None:
            options["seed"] = request.seed
        turns = [{"role": turn.role, "content": turn.content} for turn in request.messages]
        body = {
            "model": endpoint.model,
            "messages": turns or [{"role": "user", "content": request.prompt or ""}],
            "stream": request.stream,
            "options": options,
        }
        return post(endpoint, "/chat", body, prefix="/api")

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return ChatAnswer(Lines() if "ndjson" in content_type else Whole())


class ChatAnswer(Answer):
    """Ends with `done: true`, the line that counts."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        message = document.get("message") or {}
        if text := message.get("thinking"):
            deltas.append(Delta("reasoning", text))
        if text := message.get("content"):
            deltas.append(Delta("answer", text))
        calls = message.get("tool_calls") or ()
        deltas.extend(Delta("tool", str(call["function"].get("arguments", ""))) for call in calls)
        if document.get("done"):
            self.complete = True
            self.finish(document.get("done_reason"))
            self.keep_times(document, _TIMES)
            self.usage = Usage(document.get("prompt_eval_count"), document.get("eval_count"))


CHAT = Chat()
