"""What analysis hands out: a Summary of a run and its levels. Unknown numbers are None, never NaN or 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from loadlab.analysis.percentiles import Stats
from loadlab.analysis.planned import Planned
from loadlab.analysis.steady import Flow, Growth
from loadlab.analysis.warmup import Settling
from loadlab.core.nouns import Price, Run, Verdict


class Stored(Protocol):
    """What analysis needs of a stored run; `loadlab.store` returns one."""

    @property
    def id(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def started_at_ns(self) -> int: ...
    @property
    def finished_at_ns(self) -> int | None: ...
    @property
    def spec(self) -> Run: ...
    @property
    def environment(self) -> Mapping[str, Any]: ...
    @property
    def price(self) -> Price | None: ...
    @property
    def unpriced(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Signs:
    """What the rules look at besides the metrics; None is unknown, or too little to say.

    `queued`: requests that waited for a place. `under_way`: requests in flight as 95 % of the sends met it.
    `events_per_s`: reads that carried output. `tokens_per_event`: of the answers that the server counted.
    `cut`: the schedule was not played to its end, or not by everybody. `settling`: where TTFT and the pace of
    answers settled; of a load that is meant to change there is none. `cached`: the share of prompt tokens
    that came from a cache, in the first and in the second half of the answers.
    """

    planned: Planned | None = None
    flow: Flow | None = None
    growth: Growth | None = None
    queued: int = 0
    under_way: float | None = None
    events_per_s: float | None = None
    tokens_per_event: float | None = None
    cut: bool = False
    settling: tuple[Settling, ...] = ()
    cached: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One level in numbers. Everything but `warmup` counts in `requests` is about measured requests.

    `requests`: sent, ok, failed, errors {kind: n}, warmup. `metrics`: name -> n, mean, p50 … max, in ms.
    `token_counts`: answers by where their output count came from; `unknown_prompts`: those without a count of
    prompt tokens. `generator`: its own health, worst device.
    `achieved_per_s`: sends per second, None below two sends. `examples`: one error detail per kind.
    `lengths`: answers that reached their max_tokens, those that did not, those beyond it. `accuracy`: the
    client's expected error at this load (ms) and its basis in words. `hardware`: what GPUs and server did,
    under the keys of `loadlab.analysis.attribution`. `repeat`: how often this load was measured before in the
    run; None where once. `ended`: why the level was ended before its time.
    """

    index: int
    offered: Mapping[str, Any]
    requests: Mapping[str, Any]
    metrics: Mapping[str, Stats]
    rates: Mapping[str, float | None]
    cost: Mapping[str, Any]
    window_s: float | None
    finished: bool
    achieved_per_s: float | None
    token_counts: Mapping[str, int]
    unknown_prompts: int
    generator: Mapping[str, float | None]
    examples: Mapping[str, str]
    verdict: Verdict = "VALID"
    reasons: tuple[str, ...] = ()
    lengths: Mapping[str, int] = field(default_factory=dict)
    signs: Signs = Signs()
    accuracy: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    repeat: int | None = None
    ended: str | None = None

    @property
    def title(self) -> str:
        """The offered load, and which of its repeats: "8 users #2"."""
        return self.label if self.repeat is None else f"{self.label} #{self.repeat + 1}"

    @property
    def label(self) -> str:
        """The offered load in words: "8 users", "5 req/s poisson"."""
        return label(self.offered)

    @property
    def unstable(self) -> bool:
        """Whether an open loop offered more than came back: its percentiles depend on its length."""
        grew = self.signs.growth is not None and self.signs.growth.lasting
        return "rate" in self.offered and (grew or self.ended is not None)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers, computed from its rows.

    `run`: id, verdict, reasons (they name the level where there are several), state, started_at_ns,
    finished_at_ns. `spec`: what was asked. `notes`: what to keep in mind; they are no verdict.
    `batch`: of a run handed in as one, the keys of `loadlab.analysis.batch`.
    """

    run: Mapping[str, Any]
    spec: Run
    levels: tuple[LevelSummary, ...]
    notes: tuple[str, ...]
    batch: Mapping[str, Any] | None = None


def label(offered: Mapping[str, Any]) -> str:
    """An offered load in words: "1 user", "8 users", "5 req/s poisson"; "shape" is the scenario's own."""
    if (users := offered.get("users")) is not None:
        return f"{users} user" if users == 1 else f"{users} users"
    if (rate := offered.get("rate")) is None:
        return str(offered["arrivals"])
    return f"{rate:g} req/s {offered['arrivals']}"
