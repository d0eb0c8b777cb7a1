"""What analysis hands out: a Summary of a run and its levels. Unknown numbers are None, never NaN or 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from loadlab.analysis.percentiles import Stats
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
    def price(self) -> Price | None: ...
    @property
    def unpriced(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LevelSummary:
    """One level in numbers. Everything but `warmup` counts in `requests` is about measured requests.

    `requests`: sent, ok, failed, errors {kind: n}, warmup. `metrics`: name -> n, mean, p50 … max, in ms.
    `token_counts`: answers by where their output count came from; `unknown_prompts`: those without a count of
    prompt tokens. `generator`: its own health, worst device.
    `achieved_per_s`: sends per second, None below two sends. `examples`: one error detail per kind.
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

    @property
    def label(self) -> str:
        """The offered load in words: "8 users", "5 req/s poisson"."""
        return label(self.offered)


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in numbers, computed from its rows.

    `run`: id, verdict, reasons (they name the level where there are several), state, started_at_ns,
    finished_at_ns. `spec`: what was asked. `notes`: what to keep in mind; they are no verdict.
    """

    run: Mapping[str, Any]
    spec: Run
    levels: tuple[LevelSummary, ...]
    notes: tuple[str, ...]


def label(offered: Mapping[str, Any]) -> str:
    """An offered load in words: "1 user", "8 users", "5 req/s poisson"."""
    if (users := offered.get("users")) is not None:
        return f"{users} user" if users == 1 else f"{users} users"
    return f"{offered['rate']:g} req/s {offered['arrivals']}"
