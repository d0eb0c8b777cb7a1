"""Sweeps written by hand: levels whose latencies are known, as the planner meets them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.measures import Observed
from loadlab.analysis.nouns import LevelSummary, Signs, Summary
from loadlab.analysis.steady import Growth
from loadlab.core.money import Price
from loadlab.core.nouns import Endpoint, Run
from loadlab.planner import Measured
from loadlab.planner.measured import of

MS, S = 1_000_000, 1_000_000_000
SPEC = Run(
    id="r", scenario="chat", scenario_path="scenarios/chat.py", levels=(), seed=1, timeout_s=60, clock_ns=0,
    endpoint=Endpoint("http://127.0.0.1:8000/v1", "tiny", name="local"), started_at_ns=0,
)  # fmt: skip
PRICE = Price("box", "hour", "a list", "2026-11-01", usd_per_hour=2.0)
GPU = Price("gpu", "hour", "a list", "2026-11-01", usd_per_hour=3.0, units=None)


def level(
    load: float,
    ttft_ms: float,
    *,
    axis: str = "rate",
    n: int = 400,
    failed: int = 0,
    spread: float = 0.1,
    unstable: bool = False,
    run: str = "r1",
    hardware: dict[str, Any] | None = None,
    seed: int = 0,
) -> Observed:
    """A level whose TTFT is lognormal with this p95; 50 tokens of 10 ms follow, prompts have 100."""
    rng = np.random.default_rng((seed, round(load * 1000)))
    ttft = ttft_ms * np.exp(spread * (rng.standard_normal(n) - 1.645))
    rate = load if axis == "rate" else 10.0 * load
    at = np.cumsum(rng.exponential(1 / rate, n)) * S
    first = at + ttft * MS
    kinds = pd.Series([None] * (n - failed) + ["timeout"] * failed, dtype=object)
    rows = pd.DataFrame(
        {
            "planned_ns": at, "sent_ns": at, "first_token_ns": first, "last_token_ns": first + 490 * MS,
            "done_ns": first + 490 * MS, "queued_ns": 0.0, "connect_ns": 0.0, "retries": 0.0, "reused": True,
            "warmup": False, "error_kind": kinds, "output_tokens": 50.0, "prompt_tokens": 100.0,
            "cached_tokens": 0.0,
        }
    )  # fmt: skip
    offered = {"rate": load, "arrivals": "poisson"} if axis == "rate" else {"users": int(load)}
    summary = LevelSummary(
        index=0, offered=offered,
        requests={"sent": n, "ok": n - failed, "failed": failed, "errors": {}, "warmup": 0},
        metrics={}, rates={"requests_per_s": rate * (n - failed) / n}, cost={}, window_s=n / rate,
        finished=True, achieved_per_s=rate, token_counts={}, unknown_prompts=0, generator={}, examples={},
        signs=Signs(growth=Growth(1.0, 1.0, 9.0)) if unstable else Signs(),
        hardware=hardware or {},
    )  # fmt: skip
    return Observed(Summary({"id": run}, SPEC, (summary,), ()), summary, rows, np.empty(0), {})


def sweep(levels: Sequence[Observed], price: Price | None = PRICE, **spec: Any) -> Measured:
    """The levels as one sweep."""
    return of(levels, replace(SPEC, **spec), price, "" if price else "unpriced: no price was given")


def knee(axis: str = "rate", price: Price | None = PRICE, **more: Any) -> Measured:
    """p95 of TTFT 100, 150, 225, 900 ms at loads 2, 4, 6, 8."""
    loads = ((2.0, 100.0), (4.0, 150.0), (6.0, 225.0), (8.0, 900.0))
    return sweep([level(load, ttft, axis=axis, **more) for load, ttft in loads], price)
