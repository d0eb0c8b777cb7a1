"""Reads JSON bodies, whatever their dialect: fields are checked, and a refusal says what was wrong.

Knows no dialect's own field names beyond what all share, and no engine.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from loadlab.core.errors import LoadlabError
from loadlab.server.job import Sampling, Turn

Document = Mapping[str, Any]
MOST_LOGPROBS = 20  # of the best tokens at one place, as OpenAI has it


class ApiError(LoadlabError):
    """A request refused: HTTP status, words, and where a dialect has them the parameter and a code."""

    def __init__(
        self,
        status: int,
        message: str,
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.retry_after_s = status, param, code, retry_after_s


@dataclass(frozen=True, slots=True)
class Ask:
    """A completion asked for: `turns` of a conversation or a `prompt`, of which model, and how to answer.

    `repeatable` tells whether the same question must get the same answer.
    """

    model: str | None
    turns: tuple[Turn, ...]
    prompt: str | tuple[int, ...]
    stream: bool
    sampling: Sampling
    repeatable: bool
    include_usage: bool = False
    continuous_usage: bool = False

    @property
    def chat(self) -> bool:
        """Whether a conversation is to be continued."""
        return bool(self.turns)


def read_document(body: bytes) -> Document:
    """The JSON object in a body. Raises ApiError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"The body is not valid JSON: {error}.", code="invalid_json") from error
    if not isinstance(document, dict):
        raise ApiError(400, f"The body must be a JSON object, not {type(document).__name__}.")
    return document


def model_name(document: Document) -> str | None:
    """The model asked for, or None for whatever is served."""
    if (name := document.get("model")) is None or isinstance(name, str):
        return name
    raise ApiError(400, f"model must be a name, not {name!r}.", "model")


def read_sampling(document: Document, limit: int | None, stop: str, hottest: float) -> Sampling:
    """How to choose tokens; `stop` is the dialect's name for stop texts, `hottest` its top temperature."""
    seed = whole(document, "seed", None, low=-(2**63))
    return Sampling(
        max_tokens=limit,
        min_tokens=whole(document, "min_tokens", 0, low=0) or 0,
        temperature=number(document, "temperature", 1.0, 0.0, hottest),
        top_p=number(document, "top_p", 1.0, 0.0, 1.0),
        top_k=max(0, whole(document, "top_k", 0, low=-1) or 0),
        seed=secrets.randbits(63) if seed is None else seed,
        stop=_stops(document, stop),
        ignore_eos=flag(document, "ignore_eos"),
    )


def is_repeatable(document: Document, sampling: Sampling) -> bool:
    """Whether nothing is left to chance: greedy, or drawn with a seed that was given."""
    return sampling.temperature == 0 or document.get("seed") is not None


def read_turns(document: Document) -> tuple[Turn, ...]:
    """The conversation under `messages`."""
    messages = document.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages must be a list with at least one message.", "messages")
    return tuple(_turn(message, f"messages[{index}]") for index, message in enumerate(messages))


def _turn(message: Any, where: str) -> Turn:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise ApiError(400, f"{where} must be an object with a role and a content.", where)
    return message["role"], text_of(message.get("content"), f"{where}.content")


def text_of(content: Any, where: str) -> str:
    """A text, or the texts of a list of parts joined."""
    if content is None or isinstance(content, str):
        return content or ""
    parts = content if isinstance(content, list) else []
    texts = [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if not texts or len(texts) < len(parts):
        raise ApiError(400, f"{where} must be a text or a list of text parts.", where)
    return "".join(texts)


def is_tokens(value: Any) -> bool:
    """Whether it is a list of token ids."""
    return isinstance(value, list) and bool(value) and all(type(item) is int and item >= 0 for item in value)


def flag(document: Document, name: str, default: bool = False) -> bool:
    """A field that is true or false."""
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"{name} must be true or false, not {value!r}.", name)
    return default if value is None else value


def whole(
    document: Document, name: str, default: int | None, low: int, high: int | None = None
) -> int | None:
    """A field that is a whole number."""
    value = document.get(name)
    if value is None:
        return default
    if type(value) is not int or value < low or (high is not None and value > high):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ApiError(400, f"{name} must be a whole number {bounds}, not {value!r}.", name)
    return value


def number(document: Document, name: str, default: float, low: float, high: float) -> float:
    """A field that is a number."""
    value = document.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not low <= value <= high:
        raise ApiError(400, f"{name} must be a number from {low:g} to {high:g}, not {value!r}.", name)
    return float(value)


def _stops(document: Document, name: str) -> tuple[str, ...]:
    stop = document.get(name)
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(text, str) and text for text in stops):
        raise ApiError(400, f"{name} must be a non-empty text or a list of them.", name)
    return tuple(stops)
