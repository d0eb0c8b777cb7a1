"""The server's numbers in Prometheus text: vLLM's names as of vLLM 0.32, `loadlab:` for what it has not.

Knows names and labels, and where each number is; counts nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from loadlab.server import metrics
from loadlab.server.board import Board
from loadlab.server.job import STEP_BOUNDS, Load
from loadlab.server.metrics import FINISHES, HISTOGRAMS, WIDTH, Tally

Settings = Mapping[str, Mapping[str, Any]]  # as `job.Engine.settings` gives them
_LABELS = ("model_name", "engine")
_GAUGES: tuple[tuple[str, str, Callable[[Load], float]], ...] = (
    ("num_requests_running", "Requests being decoded or prefilled.", lambda load: load.running),
    ("num_requests_waiting", "Requests waiting for a place.", lambda load: load.waiting),
    ("kv_cache_usage_perc", "Share of the KV cache in use; 1 is full.", lambda load: load.kv_usage),
)
_COUNTED = (
    ("vllm:prompt_tokens", "Prompt tokens of requests that got a first token.", metrics.PROMPT),
    ("vllm:generation_tokens", "Tokens generated and handed over.", metrics.GENERATED),
    ("vllm:prompt_tokens_cached", "Of the prompt tokens, those from the prefix cache.", metrics.CACHED),
    ("loadlab:batch_requests", "Requests that came from a batch.", metrics.BATCHED),
    ("loadlab:requests_refused", "Requests refused because too many waited.", metrics.REFUSED),
    ("loadlab:response_cache_queries", "Requests looked up in the response cache.", metrics.LOOKUPS),
    ("loadlab:response_cache_hits", "Requests answered from the response cache.", metrics.HITS),
)
_ENGINE_COUNTS = (
    ("vllm:prefix_cache_queries", "Prompt tokens looked up in the prefix cache.", "prefix_queries"),
    ("vllm:prefix_cache_hits", "Prompt tokens found there.", "prefix_hits"),
    ("vllm:num_preemptions", "Requests that gave their blocks back.", "preemptions"),
    ("vllm:spec_decode_num_drafts", "Drafts checked.", "drafts"),
    ("vllm:spec_decode_num_draft_tokens", "Tokens in them.", "draft_tokens"),
    ("vllm:spec_decode_num_accepted_tokens", "Of these, accepted.", "accepted_tokens"),
    ("loadlab:engine_steps", "Steps of the engine.", "steps"),
    (
        "loadlab:engine_prompt_tokens",
        "Prompt tokens computed, again after a preemption.",
        "prompt_tokens_computed",
    ),
    ("loadlab:engine_restarts", "Times the engine was started again after it had died.", "restarts"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One model and where its numbers are: its part of the board, its load and its settings as of now."""

    model: str
    tally: Callable[[], Tally]
    load: Callable[[], Load]
    settings: Callable[[], Settings]


def part(board: Board, model: int) -> Callable[[], Tally]:
    """The numbers of one model over all processes."""
    return lambda: Tally(board.total(model * WIDTH, (model + 1) * WIDTH))


class Exposition:
    """Writes the page of `/metrics`."""

    def __init__(self, models: Sequence[Told]) -> None:
        self._models = models
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """The page."""
        page: bytes = generate_latest(self._registry)
        return page

    def collect(self) -> Iterator[Any]:
        """Called by the registry."""
        models = [
            _Page((told.model, str(index)), told.tally(), told.load(), told.settings())
            for index, told in enumerate(self._models)
        ]
        yield from _gauges(models)
        yield from _counters(models)
        yield from _engine_counters(models)
        yield from _settings(models)
        yield from _histograms(models)
        yield _iterations(models)


@dataclass(frozen=True, slots=True)
class _Page:
    labels: tuple[str, str]
    tally: Tally
    load: Load
    settings: Settings


def _gauges(models: Sequence[_Page]) -> Iterator[Any]:
    for name, about, value in _GAUGES:
        gauge = GaugeMetricFamily(f"vllm:{name}", about, labels=_LABELS)
        for model in models:
            gauge.add_metric(model.labels, value(model.load))
        yield gauge


def _counters(models: Sequence[_Page]) -> Iterator[Any]:
    for name, about, index in _COUNTED:
        counter = CounterMetricFamily(name, about, labels=_LABELS)
        for model in models:
            counter.add_metric(model.labels, model.tally.counts[index])
        yield counter
    ended = CounterMetricFamily(
        "vllm:request_success", "Requests ended.", labels=(*_LABELS, "finished_reason")
    )
    for model in models:
        for reason, index in FINISHES.items():
            ended.add_metric([*model.labels, reason], model.tally.counts[index])
    yield ended


def _engine_counters(models: Sequence[_Page]) -> Iterator[Any]:
    for name, about, field in _ENGINE_COUNTS:
        counter = CounterMetricFamily(name, about, labels=_LABELS)
        for model in models:
            counter.add_metric(model.labels, getattr(model.load.counts, field))
        yield counter
    name = "vllm:spec_decode_num_accepted_tokens_per_pos"
    by_place = CounterMetricFamily(
        name, "Accepted tokens by their place in the draft.", labels=(*_LABELS, "position")
    )
    for model in models:
        for position, accepted in enumerate(model.load.counts.accepted_per_position):
            by_place.add_metric([*model.labels, str(position)], accepted)
    yield by_place


def _settings(models: Sequence[_Page]) -> Iterator[Any]:
    """Every technique and switch as a labelled 1, so that a chart can be split where one was changed."""
    about = "What the server is set to; always 1."
    gauge = GaugeMetricFamily("loadlab:setting", about, labels=(*_LABELS, "name", "value"))
    for model in models:
        for name, setting in model.settings.items():
            gauge.add_metric([*model.labels, name, _word(setting["value"])], 1)
    yield gauge
    yield from _cache_config(models)


def _cache_config(models: Sequence[_Page]) -> Iterator[Any]:
    names = ("block_size", "num_blocks", "prefix_cache")
    labels = ("block_size", "num_gpu_blocks", "enable_prefix_caching")
    gauge = GaugeMetricFamily("vllm:cache_config_info", "The KV cache; always 1.", labels=(*_LABELS, *labels))
    for model in models:
        if all(name in model.settings for name in names):
            gauge.add_metric([*model.labels, *(_word(model.settings[name]["value"]) for name in names)], 1)
    yield gauge


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _histograms(models: Sequence[_Page]) -> Iterator[Any]:
    for name, (about, _) in HISTOGRAMS.items():
        family = HistogramMetricFamily(f"vllm:{name}", about, labels=_LABELS)
        for model in models:
            buckets, total = model.tally.histograms[name].exposition()
            family.add_metric(model.labels, buckets=buckets, sum_value=total)
        yield family


def _iterations(models: Sequence[_Page]) -> Any:
    name, about = "vllm:iteration_tokens_total", "Tokens computed per step of the engine."
    family = HistogramMetricFamily(name, about, labels=_LABELS)
    for model in models:
        counts = model.load.counts
        tokens = counts.prompt_tokens_computed + counts.generated
        seen = accumulate(counts.steps_by_tokens or (0,) * (len(STEP_BOUNDS) + 1))
        buckets = list(zip((*map(str, map(float, STEP_BOUNDS)), "+Inf"), seen, strict=True))
        family.add_metric(model.labels, buckets=buckets, sum_value=tokens)
    return family
