"""The response cache: the whole answer to a question that was asked before, word for word.

Only what is repeatable is kept (greedy, or with a seed that was given), under everything that shapes the
answer: model, prompt tokens and sampling. A hit is handed over in one piece. Each front process has its own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S
from loadlab.server.job import Choice, Finish, Job, Sink

MOST_ANSWERS = 1_000


@dataclass(slots=True)
class Kept:
    """One finished answer."""

    texts: list[str] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    tokens: int = 0
    cached_tokens: int = 0
    finish: Finish = "stop"
    stop: str | None = None
    at_ns: int = 0

    def replay(self, sink: Sink) -> None:
        """Gives the answer again, at once and in one piece."""
        sink.admitted(now_ns())
        sink.cached(self.cached_tokens)
        if self.stop:
            sink.stopped(self.stop)
        sink.push("".join(self.texts), self.tokens, self.finish, self.choices)


def key_of(model: str, job: Job) -> Hashable:
    """What two questions must share to get the same answer."""
    sampling = job.sampling if job.sampling.temperature else replace(job.sampling, seed=0)
    return model, tuple(job.prompt), sampling


class ResponseCache:
    """The newest `MOST_ANSWERS` answers."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, Kept] = {}

    def get(self, key: Hashable, ttl_s: float) -> Kept | None:
        """The answer under `key` when it is not older than `ttl_s`."""
        kept = self._kept.get(key)
        if kept and now_ns() - kept.at_ns > ttl_s * NS_PER_S:
            del self._kept[key]
            return None
        return kept

    def put(self, key: Hashable, kept: Kept) -> None:
        """Keeps an answer; the oldest makes room for it."""
        kept.at_ns = now_ns()
        self._kept.pop(key, None)
        if len(self._kept) >= MOST_ANSWERS:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = kept


class KeepingSink:
    """Passes an answer on and keeps it once it is whole; see `job.Sink`."""

    def __init__(self, sink: Sink, cache: ResponseCache, key: Hashable) -> None:
        self._sink, self._cache, self._key = sink, cache, key
        self._kept = Kept()

    def admitted(self, at_ns: int) -> None:
        self._sink.admitted(at_ns)

    def cached(self, tokens: int) -> None:
        self._kept.cached_tokens = tokens
        self._sink.cached(tokens)

    def stopped(self, text: str) -> None:
        self._kept.stop = text
        self._sink.stopped(text)

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        kept = self._kept
        kept.texts.append(text)
        kept.choices += choices
        kept.tokens += tokens
        at_ns = self._sink.push(text, tokens, finish, choices)
        if finish in ("stop", "length"):
            kept.finish = finish
            self._cache.put(self._key, kept)
        return at_ns

    def fail(self, message: str) -> None:
        self._sink.fail(message)

    def cut(self) -> None:
        self._sink.cut()
