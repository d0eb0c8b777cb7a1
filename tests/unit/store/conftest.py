"""A store on each backend, and results to put into it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from loadlab import store
from loadlab.core.nouns import Endpoint, Level, Price, Result, Run
from loadlab.store import Store

CLOCK_NS = 5_000_000_000_000
MS = 1_000_000
BACKENDS = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(params=BACKENDS)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database of each backend in turn."""
    name = "sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    url: str = request.getfixturevalue(name)
    return url


@pytest.fixture
def opened(database_url: str) -> Iterator[Store]:
    """An open, empty store of each backend in turn."""
    with store.open(database_url) as opened:
        yield opened


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """A run of two levels with every field filled."""

    def make(**changes: Any) -> Run:
        fields: dict[str, Any] = {
            "id": "run-a",
            "scenario": "chat",
            "scenario_path": "scenarios/chat.py",
            "endpoint": Endpoint("http://127.0.0.1:1/v1", "tiny", labels={"gpu": "none"}),
            "levels": (Level(0, users=2, requests=4), Level(1, rate=5.0, arrivals="poisson", duration_s=3.0)),
            "seed": 7,
            "timeout_s": 60.0,
            "clock_ns": CLOCK_NS,
            "started_at_ns": 1_790_000_000_000_000_000,
            "price": Price("h100-hour", "hour", "a list", "2026-11-21", usd_per_hour=4.29),
            "environment": {"python": "3.11", "cpus": 2},
        }
        return Run(**{**fields, **changes})

    return make


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """A complete result; arrivals 10 ms apart, planned `seq` ms after the run's anchor."""

    def make(seq: int = 0, *, gaps_ms: tuple[float, ...] = (10.0, 10.0, 10.0), **changes: Any) -> Result:
        planned = CLOCK_NS + seq * MS
        arrivals = [planned + 50 * MS]
        for gap in gaps_ms:
            arrivals.append(arrivals[-1] + round(gap * MS))
        fields: dict[str, Any] = {
            "level": 0, "worker": 0, "seq": seq, "warmup": False, "planned_ns": planned,
            "sent_ns": planned + 100, "connect_ns": 30, "tls_ns": 0, "reused": True, "retries": 0,
            "first_byte_ns": planned + 1 * MS, "first_event_ns": planned + 2 * MS,
            "first_token_ns": arrivals[0], "first_answer_ns": arrivals[0], "last_token_ns": arrivals[-1],
            "done_ns": arrivals[-1] + 1, "status": 200, "error_kind": None, "error_detail": None,
            "finish_reason": "stop", "max_tokens": 100, "prompt_tokens": 12, "cached_tokens": None,
            "output_tokens": 4, "reasoning_tokens": None, "chunks": len(arrivals), "count_source": "usage",
            "cost_nano_usd": None, "arrivals_ns": arrivals,
        }  # fmt: skip
        return Result(**{**fields, **changes})

    return make
