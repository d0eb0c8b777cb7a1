"""Made-up runs of a real shape: a server whose pace falls as users are added, with a few failures.

Times are absolute nanoseconds, as the recorder hands them to the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from loadlab.core.nouns import Endpoint, Level, Price, Reading, Result, Run
from loadlab.store import Store

NS = 1_000_000_000
MS = 1_000_000
_STATUS = {None: 200, "http_status": 503, "timeout": None}
_DETAIL = {"http_status": "503 Service Unavailable: queue is full", "timeout": "no answer in 60 s"}
CLOCK_NS = 5_000 * NS
PRICE = Price(
    name="cpu-hour", kind="hour", source="list price of a 2-core virtual machine", as_of="2026-11-01",
    assumption="two cores rented by the hour, fully ours", usd_per_hour=0.08,
)  # fmt: skip


@dataclass(slots=True)
class Made:
    """A run with everything that is written for it. `ends_ns` holds (start, end) of each level, absolute."""

    run: Run
    results: list[Result] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    ends_ns: list[tuple[int, int]] = field(default_factory=list)


def fill(store: Store, *runs: Made) -> None:
    """Writes runs as the recorder does, each finished."""
    for made in runs:
        store.begin_run(made.run)
        for level, (start, end) in zip(made.run.levels, made.ends_ns, strict=True):
            store.begin_level(made.run.id, level, start)
            store.finish_level(made.run.id, level.index, end)
        store.write(made.run.id, made.results, made.readings)
        store.finish_run(made.run.id, "finished")


def sweep(
    run_id: str, *, users: tuple[int, ...] = (1, 2, 4, 8, 16, 32), requests: int = 48, slower: float = 1.0,
    failing: float = 0.0, priced: bool = True, model: str = "smollm2-135m", age_s: int = 0,
) -> Made:  # fmt: skip
    """A closed-loop sweep. `failing`: the share of requests that fail from 16 users on; 1.0: all of all."""
    levels = tuple(Level(index=place, users=n, requests=requests) for place, n in enumerate(users))
    made = Made(
        Run(
            id=run_id, scenario="chat", scenario_path="scenarios/chat.py",
            endpoint=Endpoint("http://127.0.0.1:8000/v1", model, name="local"), levels=levels, seed=7,
            timeout_s=60.0, clock_ns=CLOCK_NS, started_at_ns=1_795_000_000 * NS - age_s * NS, max_tokens=64,
            price=PRICE if priced else None, unpriced="" if priced else "unpriced: no price named",
            environment={"loadlab": "0.1.0", "python": "3.11.7", "cpu": "2 cores", "host": "bench-1"},
        )
    )  # fmt: skip
    random = np.random.default_rng(7)
    start = CLOCK_NS + NS // 2
    for level in levels:
        rows = list(_level(level, start, slower, failing, random, len(made.results)))
        end = max(row.done_ns or row.planned_ns for row in rows)
        made.results += rows
        made.ends_ns.append((start, end))
        made.readings += _readings(start, end, level.users or 1)
        start = end + NS // 5
    return made


def _level(
    level: Level, start: int, slower: float, failing: float, random: np.random.Generator, seq: int
) -> Iterator[Result]:
    users = level.users or 1
    free = [start] * users
    for place in range(level.requests or 0):
        user = int(np.argmin(free))
        planned = free[user]
        queue = max(0, users - 8) * 90
        ttft = int((35 + 9 * users + queue) * slower * random.lognormal(0, 0.25) * MS)
        gap = (9 + 2.1 * min(users, 8)) * slower
        tokens = int(random.integers(24, 64))
        fails = failing >= 1 or (users >= 16 and random.random() < failing)
        result = _answer(level.index, seq + place, planned, ttft, gap, tokens, fails, random)
        free[user] = (result.done_ns or planned) + 2 * MS
        yield result


def _answer(
    level: int,
    seq: int,
    planned: int,
    ttft: int,
    gap_ms: float,
    tokens: int,
    fails: bool,
    random: np.random.Generator,
) -> Result:
    sent = planned + int(random.uniform(0.05, 0.4) * MS)
    gaps = random.lognormal(0, 0.2, tokens - 1) * gap_ms * MS
    arrivals = [] if fails else [int(t) for t in sent + ttft + np.concatenate([[0], np.cumsum(gaps)])]
    done = arrivals[-1] + MS // 2 if arrivals else sent + ttft
    kind = ("http_status", "timeout")[seq % 2] if fails else None
    first, last = (arrivals[0], arrivals[-1]) if arrivals else (None, None)
    return Result(
        level=level, worker=0, seq=seq, warmup=False, planned_ns=planned, sent_ns=sent, connect_ns=0,
        tls_ns=0, reused=True, retries=0, first_byte_ns=first and first - MS, first_event_ns=first,
        first_token_ns=first, first_answer_ns=first, last_token_ns=last, done_ns=done,
        status=_STATUS[kind], error_kind=kind, error_detail=_DETAIL.get(kind or ""),
        finish_reason=None if fails else "length", max_tokens=64, prompt_tokens=41, cached_tokens=0,
        output_tokens=None if fails else tokens, reasoning_tokens=0, chunks=len(arrivals),
        count_source=None if fails else "usage", cost_nano_usd=None, arrivals_ns=arrivals,
    )  # fmt: skip


def _readings(start: int, end: int, users: int) -> list[Reading]:
    found = []
    for at in range(start, end, NS // 2):
        found += [
            Reading(at, "host", "bench-1", "cpu_percent", min(97.0, 20.0 + 8 * users)),
            Reading(at, "host", "bench-1", "busiest_core_percent", min(100.0, 30.0 + 9 * users)),
            Reading(at, "host", "bench-1", "memory_used_bytes", 2.1e9 + 1e6 * users),
            Reading(at, "server", "127.0.0.1:8000", "running", float(min(users, 8))),
            Reading(at, "server", "127.0.0.1:8000", "waiting", float(max(0, users - 8))),
            Reading(at, "server", "127.0.0.1:8000", "kv_cache_use", min(0.9, 0.05 * users)),
            Reading(at, "generator", "worker0", "cpu_percent", 4.0 + users / 2),
            Reading(at, "generator", "worker0", "hub_stall_ms", 1.5),
        ]
    return found


def with_gpus(made: Made, *devices: str) -> Made:
    """The same run with readings of GPUs, twice a second: power near its limit, held back, and a pause."""
    start, end = made.ends_ns[0][0], made.ends_ns[-1][1]
    for number, device in enumerate(devices):
        for place, at in enumerate(range(start - 3 * NS, end, NS // 2)):
            if 20 <= place < 26:
                continue
            busy = 0.0 if at < start else 60.0 + 5 * (place % 7) + number
            values = {
                "utilisation_percent": busy, "power_w": 90 + 5.8 * busy, "power_limit_w": 500.0,
                "memory_used_bytes": 6e10, "temperature_c": 40 + busy / 4, "sm_clock_mhz": 1980 - busy,
                "throttled_by_power": float(busy > 85), "throttled_by_heat": 0.0,
                "memory_busy_percent": busy / 2,
            }  # fmt: skip
            made.readings += [Reading(at, "nvml", device, name, value) for name, value in values.items()]
    return made
