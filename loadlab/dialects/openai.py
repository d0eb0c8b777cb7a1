"""OpenAI chat and text completions, as OpenAI, vLLM, SGLang, llama.cpp and most hosted vendors speak them.

In scope: text, refusals, reasoning (`reasoning_content`, `reasoning`, Mistral's thinking parts), tool calls,
usage, servers' own timings, errors inside a 200 stream. Out of scope: images, audio, several choices (only
the first is read). The recorder meets this language most: an event like the last one is not parsed again.
Source: platform.openai.com/docs/api-reference (chat, completions), read 2026-11; vLLM 0.33, llama.cpp, groq
1.7, mistralai 3.7 and docs.fireworks.ai for their own fields.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import Call, Decoder, Delta, usage
from loadlab.dialects.answer import Answer, Cutter, Whole, words
from loadlab.dialects.calls import post, text_of
from loadlab.dialects.sse import SseDecoder, Template

_TIMES = {
    "metrics": ("time_to_first_token_ms", "generation_time_ms", "queue_time_ms", "mean_itl_ms"),
    "timings": (
        "prompt_n", "prompt_ms", "predicted_n", "predicted_ms", "cache_n", "draft_n", "draft_n_accepted",
    ),
    "usage": ("queue_time", "prompt_time", "completion_time", "total_time"),
}  # fmt: skip
_MANY = 40


@dataclass(frozen=True, slots=True)
class OpenAI:
    """One of the two completion APIs; `path` is appended to the endpoint's base URL."""

    path: str
    chat: bool

    def encode(self, endpoint: Endpoint, request: Request) -> Call:
        """A POST with a JSON body. Raises nothing: the server judges the values."""
        body = {"model": endpoint.model, **self.body(request)}
        return post(endpoint, self.path, body, prefix="/v1", stream=request.stream)

    def body(self, request: Request) -> dict[str, Any]:
        """What every carrier of this language is told, without the model."""
        body: dict[str, Any] = {
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
            body |= {"ignore_eos": True, "min_tokens": request.max_tokens}
        return body

    def decoder(self, content_type: str) -> Decoder:
        """Reads an event stream as it comes, anything else as one JSON document at its end."""
        return CompletionAnswer(SseDecoder() if "event-stream" in content_type else Whole())

    def _input(self, request: Request) -> dict[str, Any]:
        if not self.chat:
            return {"prompt": text_of(request)}
        turns = [{"role": m.role, "content": m.content} for m in request.messages]
        return {"messages": turns or [{"role": "user", "content": text_of(request)}]}


CHAT = OpenAI("/chat/completions", chat=True)
COMPLETIONS = OpenAI("/completions", chat=False)


class CompletionAnswer(Answer):
    """Complete once a finish reason or `[DONE]` was seen. Usage may come with any event; the last counts."""

    __slots__ = ("_template",)

    def __init__(self, cutter: Cutter) -> None:
        super().__init__(cutter)
        self._template = Template()

    def feed(self, data: bytes) -> list[Delta]:
        """See Decoder."""
        if self._cutter.between and (text := self._template.read(data)):
            self.events += 1
            return [Delta("answer", text)]
        deltas = super().feed(data)
        if len(deltas) == 1 and deltas[0].kind == "answer" and self.finish_reason is None:
            self._template.learn(data, deltas[0].text)
        return deltas

    def close(self) -> list[Delta]:
        """See Decoder."""
        deltas = super().close()
        self.complete = self.complete or self.finish_reason is not None
        return deltas

    def read(self, document: dict[str, Any], deltas: list[Delta]) -> None:
        """See Answer."""
        for choice in (document.get("choices") or ())[:1]:
            self.finish(choice.get("finish_reason"))
            _output(choice.get("delta") or choice.get("message") or choice, deltas)
        self._account(document)
        if groq := document.get("x_groq"):
            self._account(groq)
            self.error = words(groq["error"]) if groq.get("error") else self.error

    def _account(self, document: dict[str, Any]) -> None:
        """What an event says of tokens and of the server's own times."""
        if reported := document.get("usage"):
            self.usage = usage.openai(reported)
        for place, names in _TIMES.items():
            if timings := document.get(place):
                self.keep_times(timings, names)
        if timings := document.get("perf_metrics"):  # Fireworks: the names differ by deployment
            self.keep_times(timings, tuple(timings)[:_MANY])


def _output(part: dict[str, Any], deltas: list[Delta]) -> None:
    """The output in a choice, streaming or whole, chat or text."""
    if text := part.get("reasoning_content") or part.get("reasoning"):
        deltas.append(Delta("reasoning", text))
    text = part.get("content") or part.get("text") or part.get("refusal")
    if isinstance(text, list):
        _parts(text, deltas)
    elif text:
        deltas.append(Delta("answer", text))
    calls = [(call.get("function") or {}).get("arguments") for call in part.get("tool_calls") or ()]
    deltas.extend(Delta("tool", arguments) for arguments in calls if arguments)


def _parts(parts: list[dict[str, Any]], deltas: list[Delta]) -> None:
    """Mistral's list of parts, each a text or a list of thoughts."""
    for part in parts:
        if text := part.get("text"):
            deltas.append(Delta("answer", text))
        deltas.extend(Delta("reasoning", thought["text"]) for thought in part.get("thinking") or ())
