"""The metric registry: name, unit, better-direction, clock points and formula, each said once.

Titles, axes, tables, CSV headers, the command line and docs/metrics.md read it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Metric:
    """One number that loadlab reports. `per` says what one sample is; a level metric has a single value."""

    name: str
    label: str
    unit: str
    better: Literal["lower", "higher", "neither"]
    per: Literal["request", "gap", "level"]
    formula: str
    help: str

    @property
    def title(self) -> str:
        """Label and unit, as axes and table heads print it."""
        return f"{self.label} ({self.unit})"


_ALL = (
    Metric(
        "ttft_ms", "Time to first token", "ms", "lower", "request", "first_token - sent",
        "From the last byte of the request leaving to the first read that carried output (text, reasoning, "
        "tool call). Role-only events, comments and pings do not count. Connecting is not in it.",
    ),
    Metric(
        "ttft_planned_ms", "Time to first token from plan", "ms", "lower", "request", "first_token - planned",
        "As ttft_ms, from the moment the request was due. In an open loop this includes everything the "
        "generator added: it cannot hide a late send.",
    ),
    Metric(
        "itl_ms", "Inter-token latency", "ms", "lower", "gap", "arrival[i] - arrival[i-1]",
        "Gap between consecutive events that carried output. An event may hold several tokens; it is not "
        "divided.",
    ),
    Metric(
        "tpot_ms", "Time per output token", "ms", "lower", "request",
        "(last_token - first_token) / (output_tokens - 1)",
        "Mean pace of one answer after its first token. Not defined for answers of fewer than two tokens.",
    ),
    Metric(
        "e2e_ms", "End-to-end latency", "ms", "lower", "request", "done - sent",
        "From the last byte of the request leaving to the end of the response body.",
    ),
    Metric(
        "e2e_planned_ms", "End-to-end latency from plan", "ms", "lower", "request", "done - planned",
        "As e2e_ms, from the moment the request was due.",
    ),
    Metric(
        "send_lag_ms", "Send lag", "ms", "lower", "request", "sent - planned - queued - connect",
        "How late the generator itself was. Time spent connecting (DNS, TCP, TLS) is reported apart.",
    ),
    Metric(
        "connect_ms", "Connection set-up", "ms", "lower", "request", "connect",
        "DNS, TCP and TLS, for the requests that opened a connection.",
    ),
    Metric(
        "requests_per_s", "Requests", "1/s", "higher", "level", "ok / window",
        "Successful requests over the level's window: first planned to last done, warm-up left out.",
    ),
    Metric(
        "output_tokens_per_s", "Output throughput", "tok/s", "higher", "level", "sum(output_tokens) / window",
        "Output tokens of successful requests over the window.",
    ),
    Metric(
        "total_tokens_per_s", "Total throughput", "tok/s", "higher", "level",
        "sum(prompt_tokens + output_tokens) / window",
        "Prompt and output tokens of successful requests over the window.",
    ),
    Metric(
        "audio_s_per_s", "Audio throughput", "s/s", "higher", "level", "sum(audio_s) / window",
        "Seconds of audio that successful requests made or had written down, over the window.",
    ),
    Metric(
        "error_rate", "Errors", "%", "lower", "level", "100 * failed / sent",
        "Share of the sent requests that failed.",
    ),
    Metric(
        "usd", "Cost", "USD", "lower", "level", "sum(request cost) or usd_per_hour * devices * window / 3600",
        "What the measured requests of a level cost, failed ones too. One of unknown cost makes it unknown.",
    ),
    Metric(
        "usd_per_mtok_output", "Cost per million output tokens", "USD/Mtok", "lower", "level",
        "usd / duty_cycle / sum(output_tokens) * 1e6",
        "All cost over the output tokens of successful requests, prompt tokens free: the best case.",
    ),
    Metric(
        "usd_per_mtok_blended", "Cost per million tokens, blended", "USD/Mtok", "lower", "level",
        "usd / duty_cycle / sum(prompt_tokens + output_tokens) * 1e6",
        "All cost over prompt and output tokens together.",
    ),
    Metric(
        "usd_per_mtok_weighted", "Cost per million tokens, prompts weighted", "USD/Mtok", "lower", "level",
        "usd / duty_cycle / sum(input_weight * prompt_tokens + output_tokens) * 1e6",
        "All cost over output tokens and a quarter of the prompt tokens, or the weight of [cost]: comparable "
        "with the output price of a list that charges prompts at that ratio.",
    ),
    Metric(
        "usd_per_mtok_output_at_slo", "Cost per million output tokens at the SLO", "USD/Mtok", "lower",
        "level",
        "usd / duty_cycle / sum(output_tokens of requests within the SLO) * 1e6",
        "All cost over the output tokens of those requests that kept every limit of the SLO.",
    ),
    Metric(
        "wasted_usd", "Wasted on failed requests", "USD", "lower", "level",
        "sum(cost of failed) or usd * share of output tokens that failed",
        "The part of the cost that bought no answer: failed, cut off and truncated requests, as billed.",
    ),
    Metric(
        "energy_usd", "Cost of energy", "USD", "lower", "level", "energy_j / 3.6e6 * pue * usd_per_kwh",
        "What the measured energy costs at the tariff given, for the whole site.",
    ),
    Metric(
        "co2e_kg", "Carbon", "kg", "lower", "level", "energy_j / 3.6e6 * pue * g_co2e_per_kwh / 1000",
        "What the measured energy emits at the grid intensity given, in kg CO2e.",
    ),
    Metric(
        "gpu_utilisation_percent", "GPU busy", "%", "neither", "level", "mean(utilisation_percent)",
        "Share of the window in which a kernel ran, the mean over the GPUs. Not how much of a GPU it used.",
    ),
    Metric(
        "gpu_power_w", "GPU power", "W", "lower", "level", "energy / window",
        "Mean power of all GPUs together over the window.",
    ),
    Metric(
        "gpu_idle_power_w", "GPU power before the load", "W", "lower", "level", "mean(power) before the load",
        "What all GPUs together draw before the first request. A model in memory keeps them from resting.",
    ),
    Metric(
        "energy_j", "Energy", "J", "lower", "level", "energy counter or trapezoid(power) over the window",
        "What all GPUs together used in the window. Unknown where readings have gaps or counters lie.",
    ),
    Metric(
        "j_per_output_token", "Energy per output token", "J/tok", "lower", "level",
        "energy / sum(output_tokens)",
        "All energy of the window over the output tokens of successful requests; idling is in it.",
    ),
    Metric(
        "output_tokens_per_j", "Output tokens per joule", "tok/J", "higher", "level",
        "sum(output_tokens) / energy",
        "The same the other way round: tokens per second per watt.",
    ),
    Metric(
        "kv_cache_max_percent", "KV cache, fullest", "%", "lower", "level", "100 * max(kv_cache_use)",
        "How full the server's KV cache was at most. Near 100 requests wait or are preempted.",
    ),
    Metric(
        "prefix_cache_hit_percent", "Prefix cache hits", "%", "higher", "level",
        "100 * hits / queries over the window",
        "Share of the prompt tokens (or blocks) that the server found in its prefix cache.",
    ),
    Metric(
        "spec_decode_accepted_percent", "Accepted drafts", "%", "higher", "level",
        "100 * accepted / drafted over the window",
        "Share of the drafted tokens that speculative decoding kept.",
    ),
)  # fmt: skip

METRICS = {metric.name: metric for metric in _ALL}
