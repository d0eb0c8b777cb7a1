"""What the HTTP side hands to an engine, and what it wants back.

Knows neither HTTP nor torch: it is the seam between `api.py` and the engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from loadlab.core.errors import LoadlabError

Finish = Literal["stop", "length", "abort", "error"]
Turn = tuple[str, str]  # (role, text)


class EngineError(LoadlabError):
    """The engine cannot answer this job; `status` is the HTTP status it deserves."""

    def __init__(self, message: str, status: int = 500) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens and when to end. `max_tokens` None means until the model stops."""

    max_tokens: int | None = None
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One generation asked for; `arrival_ns` is on `core.clock`."""

    id: str
    prompt: Sequence[int]
    arrival_ns: int
    sampling: Sampling = Sampling()


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is busy with now; `kv_usage` is a share from 0 to 1."""

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0


class Sink(Protocol):
    """Where an engine puts the tokens of one job; called on the event loop, never blocks."""

    def admitted(self, at_ns: int) -> None:
        """The job left the queue at `at_ns`."""

    def push(self, text: str, tokens: int, finish: Finish | None) -> int:
        """Hands over `tokens` more tokens; `finish` ends the job. Returns when they were written, in ns."""

    def fail(self, message: str) -> None:
        """Ends the job without an answer."""


class Engine(Protocol):
    """A source of tokens: `sim` (known timing) or `torch` (a real model)."""

    name: str
    model: str
    device: str
    context: int

    async def start(self) -> None:
        """Makes the engine ready to take jobs. Raises LoadlabError when it cannot be."""

    async def stop(self) -> None:
        """Fails what is unfinished and frees everything."""

    def encode(self, text: str) -> list[int]:
        """The token ids of a prompt."""

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        """The token ids of a conversation in the model's chat template, ready for the assistant's turn."""

    def submit(self, job: Job, sink: Sink) -> None:
        """Takes a job. Raises EngineError when it will not be answered; otherwise `sink` sees it end."""

    def abort(self, job_id: str) -> None:
        """Forgets a job and frees its place at once; unknown and finished jobs are ignored."""

    def load(self) -> Load:
        """How busy the engine is."""

    def trouble(self) -> str | None:
        """Why the engine cannot answer any more, or None."""

    def report(self, query: Mapping[str, str]) -> bytes | None:
        """The engine's own account of what it did, as JSON, or None. ValueError: bad query."""
