"""A made-up server whose truth can be had: for `make calibrate-planner`. Its time is virtual.

Continuous batching in short: up to `places` requests run at once and share the device, a step takes
`step_ms + slope_ms * running` and gives every running request one token; who finds no place waits in line. A
first token costs `prefill_ms` besides.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from loadlab.analysis.measures import Observed
from loadlab.analysis.nouns import LevelSummary, Signs, Summary
from loadlab.analysis.steady import growth
from loadlab.core.nouns import Endpoint, Run

Array = npt.NDArray[np.float64]
_NS_PER_S, _WARM = 1e9, 0.1


@dataclass(frozen=True, slots=True)
class Server:
    """One replica. Answers have `tokens` tokens on average, lognormal with coefficient of variation `cv`."""

    step_ms: float = 8.0
    slope_ms: float = 0.6
    places: int = 24
    prefill_ms: float = 30.0
    tokens: float = 60.0
    cv: float = 0.6

    @property
    def most_per_s(self) -> float:
        """Requests per second with every place taken."""
        return 1000 * self.places / (self.tokens * (self.step_ms + self.slope_ms * self.places))

    def lengths(self, n: int, rng: np.random.Generator) -> Array:
        """Tokens of `n` answers, at least two."""
        sigma2 = np.log1p(self.cv**2)
        drawn = np.exp(rng.normal(np.log(self.tokens) - sigma2 / 2, np.sqrt(sigma2), n))
        found: Array = np.maximum(2.0, np.round(drawn))
        return found


def serve(server: Server, arrivals_s: Array, tokens: Array) -> tuple[Array, Array]:
    """First token and end (s) of each request. Running requests share a clock that counts their tokens."""
    first, done = np.empty(len(arrivals_s)), np.empty(len(arrivals_s))
    step_s, slope_s, prefill_s = server.step_ms / 1e3, server.slope_ms / 1e3, server.prefill_ms / 1e3
    running: list[tuple[float, int]] = []
    waiting: deque[int] = deque()
    now = given = 0.0  # `given`: tokens that a request running since ever would have got

    def begin(place: int) -> None:
        first[place] = now + prefill_s + step_s + slope_s * (len(running) + 1)
        heapq.heappush(running, (given + tokens[place], place))

    for place, at in enumerate(itertools.chain(arrivals_s.tolist(), [float("inf")])):
        while running:
            per_token = step_s + slope_s * len(running)
            ends = now + (running[0][0] - given) * per_token
            if ends > at:
                given += (at - now) / per_token
                break
            given, ended = heapq.heappop(running)
            now = done[ended] = ends
            if waiting:
                begin(waiting.popleft())
        if place == len(arrivals_s):
            break
        now = at
        if len(running) < server.places:
            begin(place)
        else:
            waiting.append(place)
    return first, np.maximum(done + prefill_s, first)


def poisson(rate: float, n: int, rng: np.random.Generator) -> Array:
    """Arrival times (s) of `n` requests."""
    times: Array = np.cumsum(rng.exponential(1 / rate, n))
    return times


def frame(arrivals_s: Array, first_s: Array, done_s: Array, tokens: Array) -> pd.DataFrame:
    """The rows that a run would have stored, warm-up left out."""
    kept = slice(int(_WARM * len(arrivals_s)), None)
    at, first, done = (values[kept] * _NS_PER_S for values in (arrivals_s, first_s, done_s))
    none = pd.Series([None] * len(at), dtype=object)
    return pd.DataFrame(
        {
            "planned_ns": at, "sent_ns": at, "first_token_ns": first, "last_token_ns": done, "done_ns": done,
            "queued_ns": 0.0, "connect_ns": 0.0, "retries": 0.0, "reused": True, "warmup": False,
            "error_kind": none, "output_tokens": tokens[kept], "prompt_tokens": 100.0, "cached_tokens": 0.0,
        }
    )  # fmt: skip


def observed(server: Server, rate: float, n: int, rng: np.random.Generator, run: str = "made") -> Observed:
    """A level of a run against the server, as planning meets it."""
    arrivals, tokens = poisson(rate, n, rng), server.lengths(n, rng)
    return seen(arrivals, *serve(server, arrivals, tokens), tokens, rate, run)


def seen(
    arrivals: Array, first: Array, done: Array, tokens: Array, rate: float, run: str = "made"
) -> Observed:
    """What was served at an offered rate, as a level."""
    rows = frame(arrivals, first, done, tokens)
    window_s = float((rows["done_ns"].max() - rows["planned_ns"].min()) / _NS_PER_S)
    level = LevelSummary(
        index=0,
        offered={"rate": rate, "arrivals": "poisson"},
        requests={"sent": len(rows), "ok": len(rows), "failed": 0, "errors": {}, "warmup": 0},
        metrics={},
        rates={"requests_per_s": len(rows) / window_s},
        cost={},
        window_s=window_s,
        finished=True,
        achieved_per_s=rate,
        token_counts={},
        unknown_prompts=0,
        generator={},
        examples={},
        signs=Signs(growth=growth(rows)),
    )
    return Observed(Summary({"id": run}, SPEC, (level,), ()), level, rows, np.empty(0), {})


SPEC = Run(
    id="made", scenario="chat", scenario_path="scenarios/chat.py", levels=(), seed=1, timeout_s=60,
    clock_ns=0,     endpoint=Endpoint("http://127.0.0.1/v1", "made"), started_at_ns=0,
)  # fmt: skip


def ttft_ms(server: Server, rate: float, n: int, seeds: Sequence[int]) -> Array:
    """TTFT of long runs at a rate: the truth."""
    parts = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        arrivals = poisson(rate, n, rng)
        first, _ = serve(server, arrivals, server.lengths(n, rng))
        parts.append(1000 * (first - arrivals)[n // 10 :])
    found: Array = np.concatenate(parts)
    return found
