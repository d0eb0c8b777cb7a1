"""Counting: bucket edges belong below, and a request counts once."""

from __future__ import annotations

from loadlab.server.job import Load
from loadlab.server.metrics import Histogram, Metrics, Watch


def test_a_value_on_a_bound_is_inside_it() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.exposition() == ([("1", 2), ("2", 4), ("+Inf", 5)], 8.0)


def test_a_request_ends_once_with_its_first_reason() -> None:
    metrics = Metrics("m", Load)
    watch = Watch(metrics, 0, prompt_tokens=7)
    watch.token(1)
    watch.token(2)
    watch.finish("length")
    watch.finish("abort")
    assert metrics.finished == {"length": 1}
    assert (metrics.prompt_tokens, metrics.generation_tokens) == (7, 3)


def test_prompt_tokens_count_only_once_something_was_answered() -> None:
    metrics = Metrics("m", Load)
    Watch(metrics, 0, prompt_tokens=7).finish("abort")
    assert metrics.prompt_tokens == 0


def test_the_text_carries_vllms_names_and_labels() -> None:
    text = Metrics("m", lambda: Load(3, 2, 0.25)).text().decode()
    for line in (
        'vllm:num_requests_running{engine="0",model_name="m"} 3.0',
        'vllm:num_requests_waiting{engine="0",model_name="m"} 2.0',
        'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25',
        'vllm:prompt_tokens_total{engine="0",model_name="m"} 0.0',
        'vllm:generation_tokens_total{engine="0",model_name="m"} 0.0',
        'vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 0.0',
        'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0',
        'vllm:inter_token_latency_seconds_bucket{engine="0",le="0.025",model_name="m"} 0.0',
        'vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 0.0',
    ):
        assert line in text.splitlines()
