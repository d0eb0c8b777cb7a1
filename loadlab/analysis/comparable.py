"""Were two runs asked the same, of the same kind of thing? What differs, and whether that forbids comparing.

Knows what was asked and where it ran. Refuses to look at any latency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from loadlab.analysis.measures import Observed
from loadlab.core.units import number

LENGTHS = 0.02


@dataclass(frozen=True, slots=True)
class Fact:
    """Something two runs may differ in. `grave`: then their numbers answer different questions."""

    name: str
    of: Callable[[Observed], Any]
    grave: bool


@dataclass(frozen=True, slots=True)
class Apart:
    """A fact in which two runs differ, in words."""

    name: str
    a: str
    b: str
    grave: bool

    @property
    def words(self) -> str:
        """ "model: tiny → big"."""
        return f"{self.name}: {self.a} → {self.b}"


def _spec(name: str) -> Callable[[Observed], Any]:
    return lambda run: getattr(run.summary.spec, name)


def _endpoint(name: str) -> Callable[[Observed], Any]:
    return lambda run: getattr(run.summary.spec.endpoint, name)


def _host(name: str) -> Callable[[Observed], Any]:
    return lambda run: run.environment.get(name)


FACTS = (
    Fact("model", _endpoint("model"), True),
    Fact("scenario", _spec("scenario"), True),
    Fact("load", lambda run: run.level.label, True),
    Fact("max_tokens", _spec("max_tokens"), True),
    Fact("exact_length", _spec("exact_length"), True),
    Fact("prompt_tokens", _spec("prompt_tokens"), True),
    Fact("dialect", _endpoint("dialect"), True),
    Fact("loadlab", _host("loadlab"), True),
    Fact("client cpu", _host("cpu"), True),
    Fact("client cpus", _host("cpus"), False),
    Fact("python", _host("python"), False),
    Fact("platform", _host("platform"), False),
    Fact("client processes", _spec("processes"), False),
    Fact("labels", lambda run: dict(run.summary.spec.endpoint.labels) or None, False),
    Fact("target", _endpoint("name"), False),
    Fact("url", _endpoint("url"), False),
    Fact("GPUs", lambda run: run.level.hardware.get("gpus"), True),
    Fact("seed", _spec("seed"), False),
    Fact("price", lambda run: run.level.cost.get("basis", "").partition(" × ")[0], False),
)


def apart(a: Observed, b: Observed, vary: Iterable[str] = ()) -> list[Apart]:
    """What differs, gravest first; what is in `vary` was meant to differ and is not grave."""
    meant = set(vary)
    pairs = ((fact, fact.of(a), fact.of(b)) for fact in FACTS)
    found = [
        Apart(fact.name, str(one), str(other), fact.grave and fact.name not in meant)
        for fact, one, other in pairs
        if one != other
    ]
    return sorted(found, key=lambda each: not each.grave)


def lengths_apart(a: Observed, b: Observed) -> str | None:
    """Answers of another mean length make tpot and e2e a different question; None where they are alike."""
    one, other = _mean_length(a), _mean_length(b)
    if not one or not other or abs(other / one - 1) <= LENGTHS:
        return None
    return f"answers of {number(one)} and {number(other)} tokens on average, {LENGTHS:.0%} apart is the limit"


def _mean_length(run: Observed) -> float | None:
    rates, n = run.level.rates, run.level.requests["ok"]
    tokens, window_s = rates.get("output_tokens_per_s"), run.level.window_s
    return tokens * window_s / n if tokens and window_s and n else None
