"""What the server counts, in Prometheus text under vLLM's names (`vllm:…`, as of vLLM 0.32).

Prompt tokens count at the first token, generated tokens when they are handed to the connection, a request
when it ends. So the sums equal the `usage` blocks of all answers, plus what aborted requests had received.
Buckets are vLLM's with finer ones below 10 ms, where vLLM's own are blind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S
from loadlab.server.job import Finish, Load

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
_REASONS: tuple[Finish, ...] = ("stop", "length", "abort", "error")
_LABELS = ("model_name", "engine")


class Histogram:
    """Counts per bucket; observing costs one bisection, because it happens once per token."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Counts one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def exposition(self) -> tuple[list[tuple[str, int]], float]:
        """Cumulative (upper bound, count) pairs and the sum."""
        buckets, total = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets, self._sum


class Metrics:
    """Everything counted for one served model."""

    def __init__(self, model: str, load: Callable[[], Load]) -> None:
        self._labels = [model, "0"]
        self._load = load
        self.prompt_tokens = self.generation_tokens = 0
        self.finished: Counter[Finish] = Counter()
        self.ttft, self.itl = Histogram(_TTFT), Histogram(_ITL)
        self.tpot, self.e2e, self.queue = Histogram(_ITL), Histogram(_REQUEST), Histogram(_REQUEST)
        self.request_prompt_tokens, self.request_generation_tokens = Histogram(_TOKENS), Histogram(_TOKENS)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The exposition format."""
        exposition: bytes = generate_latest(self._registry)
        return exposition

    def collect(self) -> Iterator[Any]:
        """Called by the registry."""
        yield from self._gauges()
        yield from self._counters()
        yield from self._histograms()

    def _gauges(self) -> Iterator[Any]:
        load = self._load()
        for name, about, value in (
            ("num_requests_running", "Requests being decoded or prefilled.", load.running),
            ("num_requests_waiting", "Requests waiting for a place.", load.waiting),
            ("kv_cache_usage_perc", "Share of the KV cache in use; 1 is full.", load.kv_usage),
        ):
            gauge = GaugeMetricFamily(f"vllm:{name}", about, labels=_LABELS)
            gauge.add_metric(self._labels, value)
            yield gauge

    def _counters(self) -> Iterator[Any]:
        for name, about, value in (
            ("prompt_tokens", "Prompt tokens of requests that got a first token.", self.prompt_tokens),
            ("generation_tokens", "Tokens generated and handed over.", self.generation_tokens),
        ):
            counter = CounterMetricFamily(f"vllm:{name}", about, labels=_LABELS)
            counter.add_metric(self._labels, value)
            yield counter
        ended = CounterMetricFamily(
            "vllm:request_success", "Requests ended.", labels=(*_LABELS, "finished_reason")
        )
        for reason in _REASONS:
            ended.add_metric([*self._labels, reason], self.finished[reason])
        yield ended

    def _histograms(self) -> Iterator[Any]:
        for name, about, histogram in (
            ("time_to_first_token_seconds", "Arrival to first token.", self.ttft),
            ("inter_token_latency_seconds", "Between neighbouring tokens.", self.itl),
            ("request_time_per_output_token_seconds", "Mean gap of one request.", self.tpot),
            ("e2e_request_latency_seconds", "Arrival to last token.", self.e2e),
            ("request_queue_time_seconds", "Arrival to admission.", self.queue),
            ("request_prompt_tokens", "Prompt tokens per request.", self.request_prompt_tokens),
            ("request_generation_tokens", "Generated tokens per request.", self.request_generation_tokens),
        ):
            family = HistogramMetricFamily(f"vllm:{name}", about, labels=_LABELS)
            buckets, total = histogram.exposition()
            family.add_metric(self._labels, buckets=buckets, sum_value=total)
            yield family


class Watch:
    """Times one request and counts it exactly once."""

    __slots__ = ("_arrival_ns", "_finish", "_first_ns", "_last_ns", "_metrics", "prompt_tokens", "tokens")

    def __init__(self, metrics: Metrics, arrival_ns: int, prompt_tokens: int) -> None:
        self._metrics, self._arrival_ns = metrics, arrival_ns
        self.prompt_tokens, self.tokens = prompt_tokens, 0
        self._first_ns = self._last_ns = 0
        self._finish: Finish | None = None

    def admitted(self, at_ns: int) -> None:
        """The request left the queue."""
        self._metrics.queue.observe(max(0, at_ns - self._arrival_ns) / NS_PER_S)

    def token(self, tokens: int) -> int:
        """Counts tokens about to be handed over now; returns that instant in ns."""
        at = now_ns()
        if self.tokens:
            self._metrics.itl.observe((at - self._last_ns) / NS_PER_S)
        else:
            self._first(at)
        self.tokens += tokens
        self._metrics.generation_tokens += tokens
        self._last_ns = at
        return at

    def finish(self, reason: Finish) -> None:
        """The request ended; later calls change nothing."""
        if self._finish:
            return
        self._finish = reason
        self._metrics.finished[reason] += 1
        if reason in ("stop", "length"):
            self._served()

    def _first(self, at_ns: int) -> None:
        self._first_ns = at_ns
        self._metrics.ttft.observe((at_ns - self._arrival_ns) / NS_PER_S)
        self._metrics.prompt_tokens += self.prompt_tokens

    def _served(self) -> None:
        metrics = self._metrics
        metrics.e2e.observe((self._last_ns - self._arrival_ns) / NS_PER_S)
        metrics.request_prompt_tokens.observe(self.prompt_tokens)
        metrics.request_generation_tokens.observe(self.tokens)
        if self.tokens > 1:
            metrics.tpot.observe((self._last_ns - self._first_ns) / (self.tokens - 1) / NS_PER_S)
