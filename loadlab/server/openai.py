"""OpenAI's bodies read and judged, and its small documents written; answers are in `openai_reply`.

In scope: chat and text completions with one choice. A field that would change the answer and is not supported
is refused; unknown fields are ignored, as vLLM does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson

from loadlab.server.bodies import (
    MOST_LOGPROBS,
    ApiError,
    Ask,
    Document,
    flag,
    is_repeatable,
    is_tokens,
    model_name,
    read_document,
    read_sampling,
    read_turns,
    whole,
)
from loadlab.server.job import Turn

DEFAULT_TEXT_TOKENS = 16  # what OpenAI gives a text completion that sets no limit
_HOTTEST = 2.0
_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


def error_document(error: ApiError) -> Document:
    """An error in OpenAI's shape."""
    usual = "server_error" if error.status >= 500 else "invalid_request_error"
    kind = _KINDS.get(error.status, usual)
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def parse_chat(body: bytes) -> Ask:
    """Reads a chat completion. Raises ApiError."""
    return chat_ask(read_document(body))


def parse_text(body: bytes) -> Ask:
    """Reads a text completion. Raises ApiError."""
    return text_ask(read_document(body))


def chat_ask(document: Document) -> Ask:
    """What the document of a chat completion asks for. Raises ApiError."""
    limit = "max_completion_tokens" if document.get("max_completion_tokens") is not None else "max_tokens"
    best = whole(document, "top_logprobs", None, low=0, high=MOST_LOGPROBS)
    if not flag(document, "logprobs"):
        if best:
            raise ApiError(400, "top_logprobs needs logprobs to be true.", "top_logprobs")
        return _ask(document, read_turns(document), "", whole(document, limit, None, low=1), None)
    return _ask(document, read_turns(document), "", whole(document, limit, None, low=1), best or 0)


def text_ask(document: Document) -> Ask:
    """What the document of a text completion asks for. Raises ApiError."""
    limit = whole(document, "max_tokens", DEFAULT_TEXT_TOKENS, low=1)
    best = whole(document, "logprobs", None, low=0, high=MOST_LOGPROBS)
    return _ask(document, (), _prompt(document), limit, best)


def _ask(
    document: Document,
    turns: tuple[Turn, ...],
    prompt: str | tuple[int, ...],
    limit: int | None,
    logprobs: int | None,
) -> Ask:
    _refuse_unsupported(document)
    options = document.get("stream_options") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "stream_options must be an object.", "stream_options")
    sampling = replace(read_sampling(document, limit, "stop", _HOTTEST), logprobs=logprobs)
    include_usage = flag(options, "include_usage")
    return Ask(
        model=model_name(document),
        turns=turns,
        prompt=prompt,
        stream=flag(document, "stream"),
        sampling=sampling,
        repeatable=is_repeatable(document, sampling),
        include_usage=include_usage,
        continuous_usage=include_usage and flag(options, "continuous_usage_stats"),
    )


def _refuse_unsupported(document: Document) -> None:
    for name in ("tools", "functions"):
        if document.get(name):
            raise ApiError(400, f"{name} are not supported by this server; leave them out.", name)
    for name, usual in (("n", 1), ("best_of", 1), ("echo", False), ("suffix", "")):
        if (value := document.get(name)) not in (None, usual):
            raise ApiError(400, f"{name}={value!r} is not supported by this server; leave it out.", name)


def _prompt(document: Document) -> str | tuple[int, ...]:
    prompt = document.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if is_tokens(prompt):
        return tuple(prompt or ())
    raise ApiError(400, "prompt must be one text or one list of token ids.", "prompt")


def model_list(names: Sequence[tuple[str, int]]) -> bytes:
    """The answer to GET /v1/models: each name with its context in tokens."""
    entries: list[dict[str, Any]] = [
        {"id": name, "object": "model", "created": 0, "owned_by": "loadlab", "max_model_len": context}
        for name, context in names
    ]
    return orjson.dumps({"object": "list", "data": entries})
