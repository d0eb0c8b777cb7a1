"""What the HTTP side hands to an engine, and what it wants back.

Knows neither HTTP nor torch: it is the seam between `api.py` and the engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import zip_longest
from typing import Any, Literal, NamedTuple, Protocol

from loadlab.core.errors import LoadlabError

Finish = Literal["stop", "length", "abort", "error"]
Turn = tuple[str, str]  # (role, text)
STEP_BOUNDS = tuple(2**power for power in range(15))


class Choice(NamedTuple):
    """A token chosen; `logprob` and the likeliest (token, logprob) pairs when the request asked for them."""

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


class EngineError(LoadlabError):
    """The engine cannot answer this job; `status` is the HTTP status it deserves, 429 comes with a wait."""

    def __init__(self, message: str, status: int = 500, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status, self.retry_after_s = status, retry_after_s


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to choose tokens and when to end. `max_tokens` None means until the model stops.

    `top_k` 0 means all; `logprobs` None means not asked, n also those of the n likeliest tokens.
    """

    max_tokens: int | None = None
    min_tokens: int = 0
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One generation asked for; `arrival_ns` is on `core.clock`, `priority` 0 interactive or 1 batch.

    A batch job only fills idle room and is the first to give its place back.
    """

    id: str
    prompt: Sequence[int]
    arrival_ns: int
    sampling: Sampling = Sampling()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What an engine has done since it was made; only ever grows, also over restarts of its process.

    `prefix_queries` and `prefix_hits` are tokens; `accepted_per_position[i]` is how often the draft token at
    position i was accepted; `prompt_tokens_computed` leaves out those found in the prefix cache.
    `steps_by_tokens[i]` is how many steps had at most `STEP_BOUNDS[i]` tokens, computed or chosen, and more
    than the bound before; its last has those beyond all.
    """

    prefix_queries: int = 0
    prefix_hits: int = 0
    preemptions: int = 0
    drafts: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    accepted_per_position: tuple[int, ...] = ()
    prompt_tokens_computed: int = 0
    generated: int = 0
    steps: int = 0
    restarts: int = 0
    steps_by_tokens: tuple[int, ...] = ()

    def __add__(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(
            *(_sum(ours, theirs) for ours, theirs in zip(astuple(self), astuple(other), strict=True))
        )


def _sum(ours: Any, theirs: Any) -> Any:
    if isinstance(ours, tuple):
        return tuple(sum(pair) for pair in zip_longest(ours, theirs, fillvalue=0))
    return ours + theirs


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine is busy with now; `kv_usage` is a share from 0 to 1."""

    running: int = 0
    waiting: int = 0
    kv_usage: float = 0.0
    counts: Counts = Counts()


class Sink(Protocol):
    """Where an engine puts the tokens of one job; called on the event loop, never blocks."""

    def admitted(self, at_ns: int) -> None:
        """The job left the queue at `at_ns`."""

    def cached(self, tokens: int) -> None:
        """So many tokens of the prompt came from the prefix cache; told once, at admission."""

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        """Hands over `tokens` more tokens; `finish` ends the job. Returns when they were written, in ns.

        `choices` has one entry per token when the job asked for logprobs; `text` may lag behind them.
        """

    def stopped(self, text: str) -> None:
        """The stop text that ends the answer; told just before its last push."""

    def fail(self, message: str) -> None:
        """Ends the job without an answer."""

    def cut(self) -> None:
        """Ends the job as a server that dies does: a stream breaks off without a word."""


class Engine(Protocol):
    """A source of tokens: `sim` (known timing) or `torch` (a real model)."""

    name: str
    model: str

    @property
    def device(self) -> str:
        """Where it computes."""

    @property
    def context(self) -> int:
        """How many tokens a prompt and its answer may have together."""

    @property
    def places(self) -> int:
        """How many jobs run at once; the others wait."""

    async def start(self) -> None:
        """Makes the engine ready to take jobs. Raises LoadlabError when it cannot be."""

    async def stop(self) -> None:
        """Fails what is unfinished and frees everything."""

    def encode(self, text: str) -> list[int]:
        """The token ids of a prompt."""

    def encode_chat(self, turns: Sequence[Turn]) -> list[int]:
        """The token ids of a conversation in the model's chat template, ready for the assistant's turn."""

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """The bytes each token stands for; none for special tokens."""

    def submit(self, job: Job, sink: Sink) -> None:
        """Takes a job. Raises EngineError when it will not be answered; otherwise `sink` sees it end."""

    def abort(self, job_id: str) -> None:
        """Forgets a job and frees its place at once; unknown and finished jobs are ignored."""

    def load(self) -> Load:
        """How busy the engine is."""

    def trouble(self) -> str | None:
        """Why the engine cannot answer, or None; begins with "restarting" when it soon can again."""

    def settings(self) -> dict[str, Any]:
        """Every technique: {name: {"value": its value now, "runtime": whether `configure` can change it}}."""

    async def configure(self, changes: Mapping[str, Any]) -> None:
        """Switches techniques, all or none. EngineError 400: unknown name, bad value, or needs a restart."""

    def report(self, query: Mapping[str, str]) -> bytes | None:
        """The engine's own account of what it did, as JSON, or None. ValueError: bad query."""
