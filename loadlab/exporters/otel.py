"""One stored run as OpenTelemetry metrics under the GenAI conventions, sent over OTLP/HTTP. Extra `otel`.

The conventions are in development; their names stand here once. loadlab is a client: it sends the client's
metrics, and none of `gen_ai.server.*`, which only a server can measure. What the conventions do not know is
sent as `loadlab.<metric>`. Every point lies between the start and the end of its level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd

from loadlab import analysis
from loadlab.analysis.nouns import Summary
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import column, flag, ok
from loadlab.core.errors import TargetError, UsageError
from loadlab.core.metrics import METRICS
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.exporters import level_values

DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
PER_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
TOKENS = "gen_ai.client.token.usage"
SECONDS = tuple(0.01 * 2**place for place in range(14))
COUNTS = tuple(4.0**place for place in range(14))

_OPERATIONS = {
    "openai-completions": "text_completion", "openai-embeddings": "embeddings", "tei-embed": "embeddings",
    "gemini": "generate_content", "tgi": "text_completion", "llamacpp": "text_completion",
    "sglang": "text_completion", "triton": "text_completion", "triton-tensorrt": "text_completion",
    "openai-chat": "chat", "openai-responses": "chat", "anthropic": "chat", "anthropic-vertex": "chat",
    "bedrock-converse": "chat", "bedrock-invoke": "chat", "ollama": "chat", "sagemaker-tgi": "chat",
}  # fmt: skip
# The end of a host name, and the provider that the conventions name for it.
_PROVIDERS = {
    "openai.azure.com": "azure.ai.openai", "openai.com": "openai", "anthropic.com": "anthropic",
    "amazonaws.com": "aws.bedrock", "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai", "groq.com": "groq", "mistral.ai": "mistral_ai",
    "cohere.com": "cohere", "deepseek.com": "deepseek", "perplexity.ai": "perplexity", "x.ai": "x_ai",
    "moonshot.ai": "moonshot_ai",
}  # fmt: skip
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Points:
    """The values of one series within one level: a histogram's samples, or a gauge's only value."""

    name: str
    unit: str
    attributes: dict[str, str | int]
    start_ns: int
    end_ns: int
    values: Sample
    bounds: tuple[float, ...] | None


def points(store: Any, ref: str) -> list[Points]:
    """Every series of the stored run that `ref` names. Raises NoDataError."""
    summary = analysis.summary_of(store, ref)
    run = summary.run["id"]
    levels, requests, gaps = store.levels(run), store.requests(run), store.gaps(run)
    found: list[Points] = []
    for row in levels.to_dict("records"):
        of_level = {"loadlab.run.id": run, "loadlab.level": int(row["level"])}
        window = _window(summary, row, requests)
        if window is not None:
            attributes = {**attributes_of(summary), **of_level}
            own = _measured(requests, row["level"])
            found += _client(own, _measured(gaps, row["level"]), attributes, window)
    return found + list(_gauges(summary, levels, requests))


def attributes_of(summary: Summary) -> dict[str, str | int]:
    """Who was asked for what, as the conventions name it."""
    endpoint = summary.spec.endpoint
    parts = urlsplit(endpoint.url)
    host = parts.hostname or ""
    provider = next((name for end, name in _PROVIDERS.items() if f".{host}".endswith(f".{end}")), host)
    return {
        "gen_ai.operation.name": _OPERATIONS.get(endpoint.dialect, endpoint.dialect),
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": endpoint.model,
        "server.address": host,
        "server.port": parts.port or _PORTS.get(parts.scheme, 0),
    }


def send(found: list[Points], endpoint: str) -> int:
    """Sends series to a collector's OTLP/HTTP address; gives how many. Raises UsageError or TargetError."""
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import MetricExportResult
    except ImportError as error:
        raise UsageError(
            f"OpenTelemetry is not installed ({error.name}); pip install 'loadlab[otel]' adds it."
        ) from error
    where = f"{endpoint.rstrip('/')}/v1/metrics"
    exporter = OTLPMetricExporter(endpoint=where, timeout=10)
    try:
        sent = exporter.export(_document(found)) is MetricExportResult.SUCCESS
    finally:
        exporter.shutdown()
    if not sent:
        raise TargetError(f"{where} did not take the metrics; is an OpenTelemetry collector listening there?")
    return len(found)


def _window(summary: Summary, row: dict[Any, Any], requests: pd.DataFrame) -> tuple[int, int] | None:
    """A level's start and end in UTC; one that was cut off ends with its last answer."""
    done = column(requests[requests["level"] == row["level"]], "done_ns")
    last = np.nanmax(done) if np.isfinite(done).any() else np.nan
    start, end = row["started_ns"], row["finished_ns"] if pd.notna(row["finished_ns"]) else last
    if pd.isna(start) or pd.isna(end):
        return None
    began = summary.spec.started_at_ns
    return began + int(start), began + int(end)


def _measured(rows: pd.DataFrame, level: int) -> pd.DataFrame:
    return rows[(rows["level"] == level).to_numpy(dtype=bool) & ~flag(rows, "warmup")]


def _client(
    requests: pd.DataFrame, gaps: pd.DataFrame, attributes: dict[str, str | int], window: tuple[int, int]
) -> Iterator[Points]:
    answered = requests[ok(requests)]
    streamed = answered[(answered["chunks"] > 1).to_numpy(dtype=bool)]
    between = column(gaps[flag(gaps, "ok")], "itl_ms") * NS_PER_MS / NS_PER_S
    yield from _series(DURATION, "s", attributes, window, _seconds(answered, "done_ns"), SECONDS)
    for kind, failed in requests[~ok(requests)].groupby("error_kind"):
        named = {**attributes, "error.type": str(kind)}
        yield from _series(DURATION, "s", named, window, _seconds(failed, "done_ns"), SECONDS)
    yield from _series(FIRST_CHUNK, "s", attributes, window, _seconds(streamed, "first_event_ns"), SECONDS)
    yield from _series(PER_CHUNK, "s", attributes, window, between, SECONDS)
    for kind, name in (("input", "prompt_tokens"), ("output", "output_tokens")):
        typed = {**attributes, "gen_ai.token.type": kind}
        yield from _series(TOKENS, "{token}", typed, window, column(requests, name), COUNTS)


def _seconds(requests: pd.DataFrame, until: str) -> Sample:
    taken: Sample = (column(requests, until) - column(requests, "sent_ns")) / NS_PER_S
    return taken


def _series(
    name: str,
    unit: str,
    attributes: dict[str, str | int],
    window: tuple[int, int],
    values: Sample,
    bounds: tuple[float, ...] | None,
) -> Iterator[Points]:
    """The series, unless nothing of it is known."""
    known = values[~np.isnan(values)]
    if known.size:
        yield Points(name, unit, attributes, *window, known, bounds)


def _gauges(summary: Summary, levels: pd.DataFrame, requests: pd.DataFrame) -> Iterator[Points]:
    rows = {int(row["level"]): row for row in levels.to_dict("records")}
    for level in summary.levels:
        window = _window(summary, rows[level.index], requests)
        attributes = {
            **attributes_of(summary), "loadlab.run.id": summary.run["id"], "loadlab.level": level.index,
        }  # fmt: skip
        for name, value in level_values(level).items():
            if window is not None:
                unit = METRICS[name].unit
                yield from _series(f"loadlab.{name}", unit, attributes, window, np.array([value]), None)


def _document(found: list[Points]) -> Any:
    from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    from loadlab import __version__

    by_name: dict[tuple[str, str], list[Points]] = {}
    for each in found:
        by_name.setdefault((each.name, each.unit), []).append(each)
    metrics = [Metric(name, None, unit, _data(each)) for (name, unit), each in by_name.items()]
    scope = ScopeMetrics(InstrumentationScope("loadlab", __version__), metrics, "")
    return MetricsData([ResourceMetrics(Resource({"service.name": "loadlab"}), [scope], "")])


def _data(found: list[Points]) -> Any:
    from opentelemetry.sdk.metrics.export import (
        AggregationTemporality,
        Gauge,
        Histogram,
        HistogramDataPoint,
        NumberDataPoint,
    )

    if found[0].bounds is None:
        return Gauge(
            [
                NumberDataPoint(each.attributes, each.start_ns, each.end_ns, float(each.values[0]))
                for each in found
            ]
        )
    return Histogram(
        [
            HistogramDataPoint(
                each.attributes, each.start_ns, each.end_ns, len(each.values), float(each.values.sum()),
                buckets(each.values, each.bounds or ()), each.bounds or (), float(each.values.min()),
                float(each.values.max()),
            )
            for each in found
        ],
        AggregationTemporality.CUMULATIVE,
    )  # fmt: skip


def buckets(values: Sample, bounds: tuple[float, ...]) -> list[int]:
    """How many values lie in each bucket; a value on a bound belongs to the bucket that ends there."""
    places = np.searchsorted(np.array(bounds), values, side="left")
    return [int(n) for n in np.bincount(places, minlength=len(bounds) + 1)]
