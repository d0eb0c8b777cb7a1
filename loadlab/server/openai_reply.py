"""OpenAI's answers written: events of a stream, whole documents. Knows no sockets and no engine.

What never changes between the events of an answer is rendered once, because an event is written per token.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from loadlab.server.bodies import ApiError, Ask
from loadlab.server.job import Choice, Finish
from loadlab.server.openai import error_document
from loadlab.server.spent import Spent

DONE = b"data: [DONE]\n\n"
Pieces = Callable[[Sequence[int]], list[bytes]]  # the bytes each token stands for


def reply(ask: Ask, model: str, pieces: Pieces) -> OpenAiReply:
    """The writer of the answer to `ask`."""
    detailed = ask.sampling.logprobs is not None or ask.continuous_usage
    return DetailedReply(ask, model, pieces) if detailed else OpenAiReply(ask, model, pieces)


class OpenAiReply:
    """The answer to one request; see `answers.Reply`."""

    silent_tokens = False

    def __init__(self, ask: Ask, model: str, pieces: Pieces) -> None:
        self.id = f"{'chatcmpl' if ask.chat else 'cmpl'}-{secrets.token_hex(12)}"
        self._ask, self._pieces = ask, pieces
        self._frame: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion.chunk" if ask.chat else "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        opening = b"data: " + orjson.dumps(self._frame)[:-1] + b',"choices":[{"index":0,'
        self._before = opening + (b'"delta":{"content":' if ask.chat else b'"text":')
        self._after = (b"}" if ask.chat else b"") + b',"logprobs":null,"finish_reason":null}]}\n\n'
        role = b'"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n'
        self._opening = opening + role if ask.chat else b""

    def stopped(self, text: str) -> None:
        """OpenAI does not tell which text it was."""

    def opening(self, spent: Spent) -> bytes:
        """What precedes the first token."""
        return self._opening

    def event(self, text: str, choices: Sequence[Choice], tokens: int) -> bytes:
        """One piece that is not the last; `tokens` is how many there were with it."""
        return self._before + orjson.dumps(text) + self._after

    def last(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The last piece and whatever ends the stream."""
        event = {**self._frame, "choices": [self._choice(text, choices, finish)]}
        closing = {"usage": usage(spent), "timings": spent.timings()}
        if not self._ask.include_usage:
            return _event({**event, "timings": closing["timings"]}) + DONE
        return _event(event) + _event({**self._frame, "choices": [], **closing}) + DONE

    def failure(self, message: str) -> bytes:
        """An error inside a stream that had begun, and its end."""
        return _event(error_document(ApiError(500, message))) + DONE

    def document(self, text: str, choices: Sequence[Choice], finish: Finish, spent: Spent) -> bytes:
        """The whole answer, not streamed."""
        chat = self._ask.chat
        part = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        choice = {"index": 0, **part, "logprobs": self._logprobs(choices), "finish_reason": finish}
        frame = {**self._frame, "object": "chat.completion"} if chat else self._frame
        closing = {"usage": usage(spent), "timings": spent.timings()}
        return orjson.dumps({**frame, "choices": [choice], **closing})

    def _choice(self, text: str, choices: Sequence[Choice], finish: Finish | None) -> dict[str, Any]:
        part = {"delta": {"content": text}} if self._ask.chat else {"text": text}
        return {"index": 0, **part, "logprobs": self._logprobs(choices), "finish_reason": finish}

    def _logprobs(self, choices: Sequence[Choice]) -> dict[str, Any] | None:
        return None


class DetailedReply(OpenAiReply):
    """An answer with probabilities, or with usage in every event: rendered as a whole each time."""

    def __init__(self, ask: Ask, model: str, pieces: Pieces) -> None:
        super().__init__(ask, model, pieces)
        self.silent_tokens = (
            ask.sampling.logprobs is not None
        )  # a token without text still has its probability
        self._offset = 0

    def opening(self, spent: Spent) -> bytes:
        """See OpenAiReply."""
        self._prompt = spent
        return super().opening(spent)

    def event(self, text: str, choices: Sequence[Choice], tokens: int) -> bytes:
        """See OpenAiReply."""
        event = {**self._frame, "choices": [self._choice(text, choices, None)]}
        if self._ask.continuous_usage:
            event["usage"] = usage(self._prompt._replace(tokens=tokens))
        return _event(event)

    def _logprobs(self, choices: Sequence[Choice]) -> dict[str, Any] | None:
        if self._ask.sampling.logprobs is None:
            return None
        return self._chat_logprobs(choices) if self._ask.chat else self._text_logprobs(choices)

    def _chat_logprobs(self, choices: Sequence[Choice]) -> dict[str, Any]:
        return {
            "content": [
                {
                    **self._named(choice.token, choice.logprob),
                    "top_logprobs": [self._named(token, logprob) for token, logprob in choice.top],
                }
                for choice in choices
            ]
        }

    def _named(self, token: int, logprob: float | None) -> dict[str, Any]:
        (piece,) = self._pieces([token])
        return {"token": _text(piece), "logprob": logprob, "bytes": list(piece)}

    def _text_logprobs(self, choices: Sequence[Choice]) -> dict[str, Any]:
        tokens = self._texts([choice.token for choice in choices])
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        best = [self._best(choice) for choice in choices]
        return {
            "text_offset": offsets,
            "token_logprobs": [choice.logprob for choice in choices],
            "tokens": tokens,
            "top_logprobs": best if self._ask.sampling.logprobs else None,
        }

    def _best(self, choice: Choice) -> dict[str, float]:
        texts = self._texts([token for token, _ in choice.top])
        return dict(zip(texts, (logprob for _, logprob in choice.top), strict=True))

    def _texts(self, tokens: Sequence[int]) -> list[str]:
        return [_text(piece) for piece in self._pieces(tokens)]


def usage(spent: Spent) -> dict[str, Any]:
    """The usage block."""
    return {
        "prompt_tokens": spent.prompt_tokens,
        "completion_tokens": spent.tokens,
        "total_tokens": spent.prompt_tokens + spent.tokens,
        "prompt_tokens_details": {"cached_tokens": spent.cached_tokens},
    }


def _event(document: Any) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"


def _text(piece: bytes) -> str:
    return piece.decode("utf-8", "replace")
