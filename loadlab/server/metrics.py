"""What the server counts of its requests, and the time of one of them.

Prompt tokens count at the first token, generated tokens when they are handed to the connection, a request
when it ends. So the sums equal the `usage` blocks of all answers, plus what aborted requests had received.
All numbers are cells of a `Board`, so that one scrape tells of all front processes; `exposition` writes it.
Buckets are vLLM's with finer ones below 10 ms, where vLLM's own are blind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S
from loadlab.server.board import Cells
from loadlab.server.job import Finish
from loadlab.server.spent import Spent

_FINE = (0.0001, 0.00025, 0.0005, 0.001, 0.002, 0.005, 0.0075)
_TTFT = (
    *_FINE, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
    1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
)  # fmt: skip
_ITL = (
    *_FINE, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75,
    1, 2.5, 5, 7.5, 10, 20, 40, 80,
)  # fmt: skip
_REQUEST = (
    *_FINE, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8,
    1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
)  # fmt: skip
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)

PROMPT, GENERATED, CACHED, OPEN, REFUSED, BATCHED, LOOKUPS, HITS = range(8)
FINISHES: dict[Finish, int] = {"stop": 8, "length": 9, "abort": 10, "error": 11}
_COUNTS = 12
HISTOGRAMS: dict[str, tuple[str, Sequence[float]]] = {
    "time_to_first_token_seconds": ("Arrival to first token.", _TTFT),
    "inter_token_latency_seconds": ("Between neighbouring tokens.", _ITL),
    "request_time_per_output_token_seconds": ("Mean gap of one request.", _ITL),
    "e2e_request_latency_seconds": ("Arrival to last token.", _REQUEST),
    "request_queue_time_seconds": ("Arrival to admission.", _REQUEST),
    "request_prefill_time_seconds": ("Admission to first token.", _REQUEST),
    "request_decode_time_seconds": ("First token to last.", _REQUEST),
    "request_inference_time_seconds": ("Admission to last token.", _REQUEST),
    "request_prompt_tokens": ("Prompt tokens per request.", _TOKENS),
    "request_generation_tokens": ("Generated tokens per request.", _TOKENS),
}
WIDTH = _COUNTS + sum(len(bounds) + 2 for _, bounds in HISTOGRAMS.values())


class Histogram:
    """Counts per bucket and, in the last cell, the sum; observing costs one bisection."""

    __slots__ = ("_bounds", "_cells")

    def __init__(self, bounds: Sequence[float], cells: Cells) -> None:
        self._bounds, self._cells = tuple(bounds), cells

    def observe(self, value: float) -> None:
        """Counts one value."""
        cells = self._cells
        cells[bisect_left(self._bounds, value)] += 1
        cells[-1] += value

    def exposition(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative (upper bound, count) pairs and the sum."""
        *counts, total = self._cells
        buckets, seen = [], 0.0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            seen += count
            buckets.append((bound, seen))
        return buckets, total


class Tally:
    """Everything counted for one model, in `WIDTH` cells; `counts` are named by this module's constants."""

    def __init__(self, cells: Cells) -> None:
        self.counts = cells[:_COUNTS]
        self.histograms: dict[str, Histogram] = {}
        at = _COUNTS
        for name, (_, bounds) in HISTOGRAMS.items():
            width = len(bounds) + 2
            self.histograms[name] = Histogram(bounds, cells[at : at + width])
            at += width


class Watch:
    """Times one request and counts it exactly once.

    A request of a batch is counted like any other, but its times are nobody's experience: they are left out.
    """

    __slots__ = (
        "_admitted_ns", "_arrival_ns", "_counts", "_finish", "_first_ns", "_itl", "_last_ns", "_of", "_quiet",
        "cached_tokens", "prompt_tokens", "tokens",
    )  # fmt: skip

    def __init__(self, tally: Tally, arrival_ns: int, prompt_tokens: int, *, quiet: bool = False) -> None:
        self._of, self._arrival_ns, self._quiet = tally, arrival_ns, quiet
        self._counts = tally.counts
        self._itl = tally.histograms["inter_token_latency_seconds"]
        self.prompt_tokens, self.cached_tokens, self.tokens = prompt_tokens, 0, 0
        self._admitted_ns = self._first_ns = self._last_ns = arrival_ns
        self._finish: Finish | None = None
        self._counts[BATCHED if quiet else OPEN] += 1

    def admitted(self, at_ns: int) -> None:
        """The request left the queue."""
        self._admitted_ns = max(at_ns, self._arrival_ns)
        self._observe("request_queue_time_seconds", self._admitted_ns - self._arrival_ns)

    def cached(self, tokens: int) -> None:
        """That many tokens of the prompt need not be computed."""
        self.cached_tokens = tokens

    def token(self, tokens: int) -> int:
        """Counts tokens about to be handed over now; returns that instant in ns."""
        at = now_ns()
        if not self.tokens:
            self._first(at)
        elif not self._quiet:
            self._itl.observe((at - self._last_ns) / NS_PER_S)
        self.tokens += tokens
        self._counts[GENERATED] += tokens
        self._last_ns = at
        return at

    def finish(self, reason: Finish) -> None:
        """The request ended; later calls change nothing."""
        if self._finish:
            return
        self._finish = reason
        self._counts[FINISHES[reason]] += 1
        if not self._quiet:
            self._counts[OPEN] -= 1
        if reason in ("stop", "length"):
            self._served()

    def refused(self) -> None:
        """The engine did not take the request: it counts as if it had never come."""
        self._finish = "error"
        self._counts[BATCHED if self._quiet else OPEN] -= 1

    def spent(self) -> Spent:
        """What it took so far."""
        return Spent(
            self.prompt_tokens,
            self.cached_tokens,
            self.tokens,
            self._admitted_ns - self._arrival_ns,
            self._first_ns - self._admitted_ns,
            self._last_ns - self._first_ns,
        )

    def _first(self, at_ns: int) -> None:
        self._first_ns = at_ns
        self._observe("time_to_first_token_seconds", at_ns - self._arrival_ns)
        self._counts[PROMPT] += self.prompt_tokens
        self._counts[CACHED] += self.cached_tokens

    def _served(self) -> None:
        spent, histograms = self.spent(), self._of.histograms
        self._observe("e2e_request_latency_seconds", self._last_ns - self._arrival_ns)
        self._observe("request_prefill_time_seconds", spent.prefill_ns)
        self._observe("request_decode_time_seconds", spent.decode_ns)
        self._observe("request_inference_time_seconds", spent.prefill_ns + spent.decode_ns)
        histograms["request_prompt_tokens"].observe(self.prompt_tokens)
        histograms["request_generation_tokens"].observe(self.tokens)
        if self.tokens > 1:
            self._observe("request_time_per_output_token_seconds", spent.decode_ns / (self.tokens - 1))

    def _observe(self, name: str, ns: float) -> None:
        if not self._quiet:
            self._of.histograms[name].observe(ns / NS_PER_S)
