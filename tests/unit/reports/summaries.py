"""Summaries written by hand: a healthy sweep and everything that can go wrong with one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from loadlab.analysis import LevelSummary, Summary
from loadlab.analysis.cost import KEYS
from loadlab.core.nouns import Endpoint, Run

METRICS = (
    "ttft_ms",
    "ttft_planned_ms",
    "tpot_ms",
    "e2e_ms",
    "e2e_planned_ms",
    "send_lag_ms",
    "connect_ms",
    "itl_ms",
)
STATS = ("mean", "p50", "p90", "p95", "p99", "max")


def level(index: int = 0, *, value: float | None = 50.0, n: int = 96, **changes: Any) -> LevelSummary:
    """A level whose every statistic is `value`."""
    known = {
        "index": index,
        "offered": {"users": 2**index, "arrivals": "closed", "requests": 96, "warmup_s": 0.0},
        "requests": {"sent": n, "ok": n, "failed": 0, "errors": {}, "warmup": 0},
        "metrics": {name: {"n": n, **dict.fromkeys(STATS, value)} for name in METRICS},
        "rates": dict.fromkeys(("requests_per_s", "output_tokens_per_s", "total_tokens_per_s"), value),
        "cost": {
            **dict.fromkeys(KEYS),
            "remarks": [],
            "wasted_usd": 0.0,
            "usd": 0.0012,
            "usd_at_least": 0.0012,
            "usd_per_mtok_output": 0.24,
            "usd_per_mtok_blended": 0.18,
            "basis": "hour price cpu-hour $0.0900/h × 12.3 s (2 vCPU, assumed)",
        },
        "window_s": 12.3,
        "finished": True,
        "achieved_per_s": 8.0,
        "token_counts": {"usage": n},
        "unknown_prompts": 0,
        "generator": {"hub_stall_ms_max": None, "cpu_percent_p95": None},
        "examples": {},
    }
    return LevelSummary(**{**known, **changes})


def failed(index: int = 0, **changes: Any) -> LevelSummary:
    """A level in which every request failed."""
    errors = {"connect": 28, "timeout": 2}
    known = {
        "requests": {"sent": 30, "ok": 0, "failed": 30, "errors": errors, "warmup": 0},
        "metrics": {name: {"n": 0, **dict.fromkeys(STATS)} for name in METRICS},
        "cost": {
            **dict.fromkeys(KEYS),
            "remarks": [],
            "basis": "unpriced: no price is known for this endpoint",
        },
        "window_s": None,
        "verdict": "INVALID",
        "reasons": ("no request succeeded: 0 of 30, at least 1 is needed",),
        "examples": {"connect": "connection refused by 127.0.0.1:8000"},
    }
    return level(index, value=None, **{**known, **changes})


def summary(*levels: LevelSummary, notes: tuple[str, ...] = (), **run: Any) -> Summary:
    spec = Run(
        id="20261121-101010-abcd",
        scenario="chat",
        scenario_path="scenarios/chat.py",
        endpoint=Endpoint(url="http://127.0.0.1:8000/v1", model="smollm2-135m", name="local"),
        levels=(),
        seed=7,
        timeout_s=60,
        clock_ns=0,
        started_at_ns=0,
    )
    facts = {
        "id": spec.id,
        "verdict": "VALID",
        "reasons": [],
        "state": "finished",
        "started_at_ns": 1_795_256_230_123_456_789,
        "finished_at_ns": 1_795_256_240_000_000_000,
        **run,
    }
    return Summary(facts, spec, levels, notes)


def elsewhere(given: Summary, **endpoint: str) -> Summary:
    """The same summary of another endpoint."""
    return replace(given, spec=replace(given.spec, endpoint=replace(given.spec.endpoint, **endpoint)))


def long_words() -> Summary:
    """Everything a user or a server can make long."""
    given = summary(
        *(failed(index, offered={"rate": 123456.789 + index, "arrivals": "constant"}) for index in range(9)),
        level(9, examples={"http": "<html>" + "overloaded " * 200}, requests=_many_errors()),
        notes=("note " * 60, "x" * 300),
        verdict="INVALID",
        reasons=["generator late: " + "very " * 60, "y" * 250],
    )
    return elsewhere(given, model="organisation/" + "long-model-name-" * 12, url="http://host/" + "p" * 200)


def _many_errors() -> dict[str, Any]:
    errors = {f"kind_{at}": 10**at for at in range(8)} | {"http": 1}
    return {"sent": 10**9, "ok": 10**8, "failed": 9 * 10**8, "errors": errors, "warmup": 0}


SUMMARIES = {
    "healthy sweep": summary(*(level(index) for index in range(6))),
    "huge numbers": summary(level(value=123_456_789.0, n=12_345_678)),
    "tiny numbers": summary(level(value=0.000_012_345)),
    "unknown numbers": summary(level(value=None)),
    "all failed": summary(
        failed(), verdict="INVALID", reasons=["no request succeeded: 0 of 30, at least 1 is needed"]
    ),
    "interrupted": summary(
        level(),
        failed(1),
        state="interrupted",
        verdict="INVALID",
        reasons=["2 users: no request succeeded", "interrupted: 1 of 4 levels complete"],
        finished_at_ns=None,
    ),
    "no level": summary(
        verdict="INVALID", reasons=["no level began: 0 of 1, at least 1 is needed"], state="interrupted"
    ),
    "long words": long_words(),
}
