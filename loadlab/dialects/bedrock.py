"""Amazon Bedrock: Converse, the one language for all its models, and invoke with Anthropic's messages inside.

In scope: text, reasoning, tool input, usage, latency metrics, exceptions inside a 200 stream. Out of scope:
images, guardrail traces, other vendors' bodies under invoke. Credentials are the wire's business.
Source: botocore's model of bedrock-runtime 1.44, read 2026-11.
"""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import orjson

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Whole
from loadlab.dialects.anthropic import MessagesAnswer, messages_body
from loadlab.dialects.calls import instructions, post, turns
from loadlab.dialects.eventstream import Events

_VERSION = "bedrock-2023-05-31"
_TIMES = ("invocationLatency", "firstByteLatency")


class Converse:
    """The model is in the path, and so is whether to stream."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body: dict[str, Any] = {
            "messages": [{"role": role, "content": [{"text": text}]} for role, text in turns(request)],
            "inferenceConfig": {"maxTokens": request.max_tokens, "temperature": request.temperature},
        }
        if system := instructions(request):
            body["system"] = [{"text": system}]
        return post(endpoint, f"/model/{{model}}/converse{'-stream' * request.stream}", body)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return ConverseAnswer(Events()) if "eventstream" in content_type else ConverseWhole(Whole())


class ConverseAnswer(Answer):
    """Ends with the `metadata` event, which comes after `messageStop`."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if part := document.get("contentBlockDelta"):
            _delta(part["delta"], deltas)
        elif stop := document.get("messageStop"):
            self.finish(stop.get("stopReason"))
        elif metadata := document.get("metadata"):
            self._count(metadata)
            self.complete = True

    def _count(self, document: dict[str, Any]) -> None:
        self.usage = usage.bedrock(document.get("usage") or {})
        self.keep_times(document.get("metrics") or {}, ("latencyMs",))


class ConverseWhole(ConverseAnswer):
    """An answer in one piece."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if "output" in document:
            self.finish(document.get("stopReason"))
            self._count(document)


def _delta(part: dict[str, Any], deltas: list[Delta]) -> None:
    if text := part.get("text"):
        deltas.append(Delta("answer", text))
    elif text := (part.get("reasoningContent") or {}).get("text"):
        deltas.append(Delta("reasoning", text))
    elif text := (part.get("toolUse") or {}).get("input"):
        deltas.append(Delta("tool", text))


class Invoke:
    """Anthropic's messages, whose events travel in base64 inside AWS frames."""

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """See Dialect."""
        body = {"anthropic_version": _VERSION, **messages_body(request)}
        return post(endpoint, f"/model/{{model}}/invoke{'-with-response-stream' * request.stream}", body)

    def decoder(self, content_type: str) -> Decoder:
        """See Dialect."""
        return InvokeAnswer(Events()) if "eventstream" in content_type else MessagesAnswer(Whole())


class InvokeAnswer(MessagesAnswer):
    """As Anthropic's, with Bedrock's own latencies in the last event."""

    __slots__ = ()

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        if chunk := document.get("chunk"):
            inner = orjson.loads(b64decode(chunk["bytes"]))
            super().read(inner, deltas)
            self.keep_times(inner.get("amazon-bedrock-invocationMetrics") or {}, _TIMES)


CONVERSE = Converse()
INVOKE = Invoke()
