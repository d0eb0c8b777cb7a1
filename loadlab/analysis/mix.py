"""What a mix of two measured things would cost and how long it would take: a router or a cache to be built.

Each part keeps the cost and the latencies it had at the load at which it was measured; that is assumed, and
said. Percentiles are of the two samples together, weighted by share, not means of percentiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loadlab import pricing
from loadlab.analysis.nouns import LevelSummary
from loadlab.analysis.percentiles import LEVELS, Sample
from loadlab.analysis.samples import REQUEST_METRICS, flag, ok
from loadlab.core.errors import UsageError

_LATENCIES = ("ttft_ms", "tpot_ms", "e2e_ms")


@dataclass(frozen=True, slots=True)
class Side:
    """One part of a mix: its summary, its successful requests, and how it is called."""

    name: str
    level: LevelSummary
    answered: pd.DataFrame

    @classmethod
    def of(cls, name: str, level: LevelSummary, requests: pd.DataFrame) -> Side:
        """The side that a level of a run is, from all requests of the run."""
        own = requests[(requests["level"] == level.index) & ~flag(requests, "warmup")]
        return cls(name, level, own[ok(own)])

    @property
    def usd_per_request(self) -> float | None:
        """All cost, idle hours of the hardware with it, over successful requests."""
        usd, n = self.level.cost["usd_with_idle_hours"], self.level.requests["ok"]
        return usd / n if usd is not None and n else None

    @property
    def output_tokens_per_request(self) -> float | None:
        """The mean number of output tokens of an answer that reported one."""
        known = self.answered["output_tokens"].dropna()
        return float(known.mean()) if len(known) else None


def mix(first: Side, second: Side | None, share: float) -> dict[str, Any]:
    """Cost and latency if `share` of the requests went to the second; without one, to a response cache.

    A hit of a response cache costs nothing, gives the tokens that its request would have got, and its latency
    was not measured. Raises UsageError for a share outside 0 to 1.
    """
    if not 0 <= share <= 1:
        raise UsageError(
            f"--share {share:g} cannot be; it is the part from 0 to 1 that goes to the second run."
        )
    per_request = pricing.mixed(first.usd_per_request, second.usd_per_request if second else 0.0, share)
    tokens = first.output_tokens_per_request
    if second:
        tokens = pricing.mixed(tokens, second.output_tokens_per_request, share)
    return {
        "share": share,
        "parts": [_part(first, 1 - share), _part(second, share)],
        "usd_per_request": per_request,
        "usd_per_mtok_output": pricing.usd_per_mtok(per_request, tokens),
        "saved_share": _saved(first.usd_per_request, per_request),
        "metrics": {name: _percentiles(name, first, second, share) for name in _LATENCIES},
        "assumption": "each part keeps the cost and the latencies of the load at which it was measured",
    }


def _part(side: Side | None, share: float) -> dict[str, Any]:
    if side is None:
        return {"run": "response cache", "share": share, "usd_per_request": 0.0, "usd_per_mtok_output": 0.0}
    return {
        "run": side.name,
        "share": share,
        "offered": side.level.label,
        "requests": side.level.requests["ok"],
        "usd_per_request": side.usd_per_request,
        "usd_per_mtok_output": pricing.usd_per_mtok(side.usd_per_request, side.output_tokens_per_request),
        "basis": side.level.cost["basis"],
    }


def _saved(before: float | None, after: float | None) -> float | None:
    return None if after is None or not before else 1 - after / before


def _percentiles(name: str, first: Side, second: Side | None, share: float) -> Mapping[str, float | None]:
    sides = [(first, 1 - share), *([(second, share)] if second else [])]
    samples = [(_known(name, side), weight) for side, weight in sides if weight > 0]
    if (second is None and share > 0) or not samples or any(not len(sample) for sample, _ in samples):
        return dict.fromkeys(LEVELS)
    values = np.concatenate([sample for sample, _ in samples])
    weights = np.concatenate([np.full(len(sample), weight / len(sample)) for sample, weight in samples])
    order = np.argsort(values, kind="stable")
    up_to = np.cumsum(weights[order]) / weights.sum()
    # Nearest rank: the smallest value that at least p of the weight does not exceed.
    at = {level: min(int(np.searchsorted(up_to, p - 1e-12)), len(values) - 1) for level, p in LEVELS.items()}
    return {level: float(values[order][place]) for level, place in at.items()}


def _known(name: str, side: Side) -> Sample:
    values = REQUEST_METRICS[name](side.answered)
    return values[~np.isnan(values)]
