"""Little's law and growth, on queues whose truth is known: quiet where steady, heard where not."""

from __future__ import annotations

import heapq
from typing import Any

import handmade
import numpy as np
import pandas as pd
import pytest

from loadlab.analysis import summarise
from loadlab.analysis.steady import LITTLE_SLACK, flow, growth, under_way
from loadlab.analysis.verdict import judge
from loadlab.core.nouns import Level


def frame(start: Any, first: Any, end: Any) -> pd.DataFrame:
    """Requests planned, answered first and done at these times in seconds."""
    rows = handmade.requests(*[handmade.request()] * len(start))
    times = {"planned_ns": start, "sent_ns": start, "first_token_ns": first, "done_ns": end}
    return rows.assign(**{name: np.asarray(at) * 1e9 for name, at in times.items()})


def served(load: float, length_s: float, seed: int, places: int = 8, service_s: float = 1.0) -> pd.DataFrame:
    """Poisson arrivals at `load` of what `places` of exponential service time can serve."""
    chance = np.random.default_rng(seed)
    start = np.cumsum(chance.exponential(service_s / places / load, int(places * load * length_s * 2)))
    start = start[start < length_s]
    free = [0.0] * places
    begun, end = np.empty_like(start), np.empty_like(start)
    for at, when in enumerate(start):
        begun[at] = max(when, heapq.heappop(free))
        end[at] = begun[at] + chance.exponential(service_s)
        heapq.heappush(free, end[at])
    return frame(start, begun + 0.05, end)


def closed(users: int, latency_s: Any, length_s: float) -> pd.DataFrame:
    """Users who ask again at once; `latency_s(now)` is how long the answer takes."""
    rows = []
    for _ in range(users):
        now = 0.0
        while now < length_s:
            rows.append((now, now + latency_s(now)))
            now = rows[-1][1]
    rows.sort()
    start, end = np.array(rows).T
    return frame(start, start + 0.05, end)


def unstable(requests: pd.DataFrame) -> bool:
    level = Level(0, rate=8.0, arrivals="poisson")
    found = summarise(handmade.run(level), handmade.levels(level), requests, handmade.gaps(requests))
    return any(reason.startswith("unstable") for reason in judge(found.levels[0]).reasons)


@pytest.mark.parametrize(("load", "most"), [(0.5, 0), (0.7, 1), (0.8, 3)])
def test_a_server_that_keeps_up_is_stable(load: float, most: int) -> None:
    assert sum(unstable(served(load, 45, seed)) for seed in range(40)) <= most


@pytest.mark.parametrize("length_s", [40, 200])
def test_a_server_over_capacity_is_not(length_s: float) -> None:
    assert sum(unstable(served(1.4, length_s, seed)) for seed in range(20)) >= 18


def test_less_than_half_a_minute_or_a_hundred_requests_says_nothing_of_growth() -> None:
    assert growth(served(3.0, 20, 1)) is None
    assert growth(served(0.2, 45, 1)) is None
    assert growth(served(3.0, 45, 1)) is not None


def test_a_steady_closed_loop_keeps_littles_law() -> None:
    found = flow(closed(20, lambda now: 0.5, 30))
    assert found
    assert found.in_flight == pytest.approx(20)
    assert found.apart < LITTLE_SLACK


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_steady_open_loop_keeps_littles_law(load: float) -> None:
    found = [flow(served(load, 60, seed)) for seed in range(30)]
    assert all(each and each.apart <= LITTLE_SLACK + each.usual_share for each in found)


def test_a_server_that_hangs_at_the_end_breaks_it() -> None:
    found = flow(closed(20, lambda now: 0.5 if now < 27 else 20.0, 30))
    assert found
    assert found.apart > LITTLE_SLACK + found.usual_share


def test_a_level_of_a_few_latencies_is_too_short_to_say() -> None:
    assert flow(closed(20, lambda now: 2.0, 30)) is None
    assert flow(closed(1, lambda now: 1.0, 30)) is None
    assert flow(handmade.requests()) is None


def test_under_way_is_what_sends_met() -> None:
    assert under_way(closed(7, lambda now: 0.5, 10)) == 7
    assert under_way(frame([0, 1, 2], [0.1, 1.1, 2.1], [0.5, 1.5, 2.5])) == 1
    assert under_way(handmade.requests()) is None
