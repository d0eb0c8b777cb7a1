"""The OpenAI wire format: bodies read and judged, answers written. Knows no sockets and no engine.

In scope: chat and text completions with one choice. A field that would change the answer and is not supported
is refused; unknown fields are ignored, as vLLM does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from loadlab.core.errors import LoadlabError
from loadlab.server.job import Finish, Sampling, Turn

Document = Mapping[str, Any]
DEFAULT_TEXT_TOKENS = 16  # what OpenAI gives a text completion that sets no limit
DONE = b"data: [DONE]\n\n"


class ApiError(LoadlabError):
    """A request refused, in OpenAI's words: HTTP status, message, parameter and code."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> bytes:
        """The JSON error document."""
        return orjson.dumps(error_document(self.status, str(self), self.param, self.code))


def error_document(status: int, message: str, param: str | None = None, code: str | None = None) -> Document:
    """An error in OpenAI's shape."""
    kind = {401: "authentication_error", 404: "not_found_error"}.get(status, "invalid_request_error")
    kind = "server_error" if status >= 500 else kind
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True, slots=True)
class Ask:
    """A completion asked for: `turns` of a conversation or a `prompt`, and how to answer."""

    turns: tuple[Turn, ...]
    prompt: str | tuple[int, ...]
    stream: bool
    include_usage: bool
    sampling: Sampling

    @property
    def chat(self) -> bool:
        """Whether a conversation is to be continued."""
        return bool(self.turns)


def parse_chat(body: bytes, model: str) -> Ask:
    """Reads a chat completion. Raises ApiError."""
    document = _document(body, model)
    limit = "max_completion_tokens" if document.get("max_completion_tokens") is not None else "max_tokens"
    return _ask(document, _turns(document), "", _whole(document, limit, None, low=1))


def parse_text(body: bytes, model: str) -> Ask:
    """Reads a text completion. Raises ApiError."""
    document = _document(body, model)
    limit = _whole(document, "max_tokens", DEFAULT_TEXT_TOKENS, low=1)
    return _ask(document, (), _prompt(document), limit)


def _document(body: bytes, model: str) -> Document:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(document, dict):
        raise ApiError(400, f"The body must be a JSON object, not {type(document).__name__}.")
    if (asked := document.get("model")) not in (None, model):
        message = f"The model '{asked}' does not exist here; this server serves '{model}'."
        raise ApiError(404, message, "model", "model_not_found")
    return document


def _ask(
    document: Document, turns: tuple[Turn, ...], prompt: str | tuple[int, ...], limit: int | None
) -> Ask:
    _refuse_unsupported(document)
    options = document.get("stream_options") or {}
    if not isinstance(options, dict):
        raise ApiError(400, "stream_options must be an object.", "stream_options")
    return Ask(
        turns=turns,
        prompt=prompt,
        stream=_flag(document, "stream"),
        include_usage=_flag(options, "include_usage"),
        sampling=_sampling(document, limit),
    )


def _sampling(document: Document, limit: int | None) -> Sampling:
    seed = _whole(document, "seed", None, low=-(2**63))
    return Sampling(
        max_tokens=limit,
        min_tokens=_whole(document, "min_tokens", 0, low=0) or 0,
        temperature=_number(document, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(document, "top_p", 1.0, 0.0, 1.0),
        seed=secrets.randbits(63) if seed is None else seed,
        stop=_stops(document),
        ignore_eos=_flag(document, "ignore_eos"),
    )


def _refuse_unsupported(document: Document) -> None:
    for name, usual in (("n", 1), ("best_of", 1), ("logprobs", False), ("echo", False), ("suffix", "")):
        if (value := document.get(name)) not in (None, usual):
            raise ApiError(400, f"{name}={value!r} is not supported by this server; leave it out.", name)


def _turns(document: Document) -> tuple[Turn, ...]:
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages must be a list with at least one message.", "messages")
    return tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages))


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ApiError(400, f"{where} must be an object with a role and a content.", where)
    return message["role"], _content(message.get("content"), f"{where}.content")


def _content(content: Any, where: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if not texts or len(texts) < len(parts):
        raise ApiError(400, f"{where} must be a text or a list of text parts.", where)
    return "".join(texts)


def _prompt(document: Document) -> str | tuple[int, ...]:
    prompt = document.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, list) and prompt and all(type(token) is int and token >= 0 for token in prompt):
        return tuple(prompt)
    raise ApiError(400, "prompt must be one text or one list of token ids.", "prompt")


def _stops(document: Document) -> tuple[str, ...]:
    stop = document.get("stop")
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise ApiError(400, "stop must be a non-empty text or a list of them.", "stop")
    return tuple(stops)


def _flag(document: Document, name: str) -> bool:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"{name} must be true or false, not {value!r}.", name)
    return bool(value)


def _whole(document: Document, name: str, default: int | None, low: int) -> int | None:
    value = document.get(name)
    if value is None:
        return default
    if type(value) is not int or value < low:
        raise ApiError(400, f"{name} must be a whole number of at least {low}, not {value!r}.", name)
    return value


def _number(document: Document, name: str, default: float, low: float, high: float) -> float:
    value = document.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not low <= value <= high:
        raise ApiError(400, f"{name} must be a number from {low:g} to {high:g}, not {value!r}.", name)
    return float(value)


class Reply:
    """Writes the answer to one request. What never changes between its events is rendered once."""

    def __init__(self, chat: bool, model: str) -> None:
        self.id = f"{'chatcmpl' if chat else 'cmpl'}-{secrets.token_hex(12)}"
        self._chat = chat
        self._frame = {
            "id": self.id,
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        opening = b"data: " + orjson.dumps(self._frame)[:-1] + b',"choices":[{"index":0,'
        self._before = opening + (b'"delta":{"content":' if chat else b'"text":')
        self._after = (b"}" if chat else b"") + b',"logprobs":null,"finish_reason":'
        role = b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        self.opening = opening + role if chat else b""

    def event(self, text: str, finish: Finish | None) -> bytes:
        """One streamed piece of text."""
        reason = b'"%b"}]}\n\n' % finish.encode() if finish else b"null}]}\n\n"
        return self._before + orjson.dumps(text) + self._after + reason

    def usage_event(self, prompt_tokens: int, tokens: int) -> bytes:
        """The event that carries usage and no choice."""
        document: dict[str, Any] = {**self._frame, "choices": [], "usage": usage(prompt_tokens, tokens)}
        return b"data: " + orjson.dumps(document) + b"\n\n"

    def document(self, text: str, finish: Finish, prompt_tokens: int, tokens: int) -> bytes:
        """The whole answer, not streamed."""
        part = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **part, "logprobs": None, "finish_reason": finish}
        kind = self._frame["object"] if not self._chat else "chat.completion"
        frame = {**self._frame, "object": kind, "choices": [choice]}
        return orjson.dumps({**frame, "usage": usage(prompt_tokens, tokens)})


def error_event(message: str) -> bytes:
    """An error inside a stream that had begun."""
    return b"data: " + orjson.dumps(error_document(500, message)) + b"\n\n"


def usage(prompt_tokens: int, tokens: int) -> dict[str, int]:
    """The usage block."""
    total = prompt_tokens + tokens
    return {"prompt_tokens": prompt_tokens, "completion_tokens": tokens, "total_tokens": total}


def model_list(names: Sequence[str], context: int) -> bytes:
    """The answer to GET /v1/models."""
    entry = {"object": "model", "created": 0, "owned_by": "loadlab", "max_model_len": context}
    return orjson.dumps({"object": "list", "data": [{"id": name, **entry} for name in names]})
