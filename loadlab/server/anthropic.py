"""Anthropic's Messages API: bodies read and judged, answers and events written.

In scope: texts in, text out. Images, tools and thinking are refused where they would change the answer.
`ignore_eos`, `min_tokens` and `seed` are read beyond Anthropic's own fields, so that both APIs can ask alike.
Source: docs.anthropic.com/en/api (messages, streaming, errors).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import orjson

from loadlab.server.bodies import (
    ApiError,
    Ask,
    Document,
    flag,
    is_repeatable,
    model_name,
    read_document,
    read_sampling,
    read_turns,
    text_of,
    whole,
)
from loadlab.server.job import Choice, Finish, Sampling, Turn
from loadlab.server.openai_reply import Pieces
from loadlab.server.spent import Spent

_HOTTEST = 1.0
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
_NOT_YET: dict[str, str | None] = {"stop_reason": None, "stop_sequence": None}
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def error_document(error: ApiError) -> Document:
    """An error in Anthropic's shape."""
    kind = _KINDS.get(error.status, "api_error" if error.status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": str(error)}}


def parse_messages(body: bytes) -> Ask:
    """Reads a message asked for. Raises ApiError."""
    return message_ask(read_document(body))


def message_ask(document: Document) -> Ask:
    """What the document of a message asks for. Raises ApiError."""
    limit = whole(document, "max_tokens", None, low=1)
    if limit is None:
        raise ApiError(400, "max_tokens is missing; say how many tokens the answer may have.", "max_tokens")
    sampling = read_sampling(document, limit, "stop_sequences", _HOTTEST)
    return Ask(
        model=model_name(document),
        turns=_turns(document),
        prompt="",
        stream=flag(document, "stream"),
        sampling=sampling,
        repeatable=is_repeatable(document, sampling),
    )


def parse_count(body: bytes) -> Ask:
    """Reads a conversation whose tokens are to be counted. Raises ApiError."""
    document = read_document(body)
    return Ask(model_name(document), _turns(document), "", False, Sampling(), True)


def count_document(tokens: int) -> bytes:
    """The answer to a count."""
    return orjson.dumps({"input_tokens": tokens})


def _turns(document: Document) -> tuple[Turn, ...]:
    for name in ("tools", "thinking"):
        if document.get(name):
            raise ApiError(400, f"{name} is not supported by this server; leave it out.", name)
    turns = read_turns(document)
    for index, (role, _) in enumerate(turns):
        if role not in ("user", "assistant"):
            where = f"messages[{index}].role"
            raise ApiError(400, f"{where} must be 'user' or 'assistant', not '{role}'.", where)
    system = text_of(document.get("system"), "system")
    return (("system", system), *turns) if system else turns


class AnthropicReply:
    """The answer to one request; see `answers.Reply`."""

    silent_tokens = False

    def __init__(self, ask: Ask, model: str, pieces: Pieces) -> None:
        self.id = f"msg_{secrets.token_hex(12)}"
        self._model, self._stop = model, ""
        self._before = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":'
        )

    def stopped(self, text: str) -> None:
        """The stop sequence that was met."""
        self._stop = text

    def opening(self, spent: Spent) -> bytes:
        """What precedes the first token."""
        message = self._message([], _NOT_YET, spent._replace(tokens=0))
        block = {"type": "text", "text": ""}
        return (
            _event("message_start", message=message)
            + _event("content_block_start", index=0, content_block=block)
            + _PING
        )

    def event(self, text: str, choices: Sequence[Choice], tokens: int) -> bytes:
        """One piece that is not the last."""
        return self._before + orjson.dumps(text) + b"}}\n\n"

    def last(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The last piece and whatever ends the stream."""
        return (
            (self.event(text, choices, spent.tokens) if text else b"")
            + _event("content_block_stop", index=0)
            + _event("message_delta", delta=self._end(finish), usage=usage(spent), timings=spent.timings())
            + _event("message_stop")
        )

    def failure(self, message: str) -> bytes:
        """An error inside a stream that had begun."""
        document = error_document(ApiError(500, message))
        return b"event: error\ndata: " + orjson.dumps(document) + b"\n\n"

    def document(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The whole answer, not streamed."""
        content = [{"type": "text", "text": text}]
        message = self._message(content, self._end(finish), spent)
        return orjson.dumps({**message, "timings": spent.timings()})

    def _end(self, finish: Finish) -> dict[str, str | None]:
        if self._stop:
            return {"stop_reason": "stop_sequence", "stop_sequence": self._stop}
        return {"stop_reason": "max_tokens" if finish == "length" else "end_turn", "stop_sequence": None}

    def _message(
        self, content: list[dict[str, str]], end: dict[str, str | None], spent: Spent
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            **end,
            "usage": usage(spent),
        }


def usage(spent: Spent) -> dict[str, int]:
    """The usage block: Anthropic counts the tokens read from a cache apart from the others of the input."""
    return {
        "input_tokens": spent.prompt_tokens - spent.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": spent.cached_tokens,
        "output_tokens": spent.tokens,
    }


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **fields}) + b"\n\n"
