"""Counting: bucket edges belong below, a request counts once, and one page tells of all processes."""

from __future__ import annotations

from array import array

from loadlab.server.board import Board, private
from loadlab.server.exposition import Exposition, Told, part
from loadlab.server.job import Counts, Load
from loadlab.server.metrics import BATCHED, FINISHES, GENERATED, OPEN, PROMPT, WIDTH, Histogram, Tally, Watch


def cells(width: int) -> memoryview:
    return memoryview(array("d", bytes(8 * width)))


def test_a_value_on_a_bound_is_inside_it() -> None:
    histogram = Histogram((1, 2), cells(4))
    for value in (0.5, 1, 1.5, 2, 3):
        histogram.observe(value)
    assert histogram.exposition() == ([("1", 2), ("2", 4), ("+Inf", 5)], 8.0)


def test_a_request_ends_once_with_its_first_reason() -> None:
    tally = Tally(cells(WIDTH))
    watch = Watch(tally, 0, prompt_tokens=7)
    assert tally.counts[OPEN] == 1
    watch.token(1)
    watch.token(2)
    watch.finish("length")
    watch.finish("abort")
    assert {reason: tally.counts[at] for reason, at in FINISHES.items()} == {
        "stop": 0,
        "length": 1,
        "abort": 0,
        "error": 0,
    }
    assert (tally.counts[PROMPT], tally.counts[GENERATED], tally.counts[OPEN]) == (7, 3, 0)


def test_prompt_tokens_count_only_once_something_was_answered() -> None:
    tally = Tally(cells(WIDTH))
    Watch(tally, 0, prompt_tokens=7).finish("abort")
    assert tally.counts[PROMPT] == 0


def test_a_request_of_a_batch_leaves_no_times() -> None:
    tally = Tally(cells(WIDTH))
    watch = Watch(tally, 0, prompt_tokens=7, quiet=True)
    watch.admitted(5)
    watch.token(1)
    watch.token(1)
    watch.finish("stop")
    assert (tally.counts[BATCHED], tally.counts[GENERATED], tally.counts[OPEN]) == (1, 2, 0)
    counted = {name: buckets[-1][1] for name, buckets in _buckets(tally).items()}
    assert {name for name, count in counted.items() if count} == {
        "request_prompt_tokens",
        "request_generation_tokens",
    }


def _buckets(tally: Tally) -> dict[str, list[tuple[str, float]]]:
    return {name: histogram.exposition()[0] for name, histogram in tally.histograms.items()}


def test_what_was_spent_adds_up_to_the_whole() -> None:
    watch = Watch(Tally(cells(WIDTH)), 1_000, prompt_tokens=7)
    watch.admitted(5_000)
    watch.cached(4)
    first, last = watch.token(1), watch.token(1)
    spent = watch.spent()
    assert (spent.prompt_tokens, spent.cached_tokens, spent.tokens) == (7, 4, 2)
    assert (spent.queue_ns, spent.prefill_ns, spent.decode_ns) == (4_000, first - 5_000, last - first)


def test_the_page_carries_vllms_names_and_labels() -> None:
    counts = Counts(
        prefix_hits=32, accepted_per_position=(5, 3), generated=9, steps_by_tokens=(2, 0, 0, 1, *[0] * 12)
    )
    board = private(WIDTH)
    told = Told(
        "m",
        part(board, 0),
        lambda: Load(3, 2, 0.25, counts),
        lambda: {
            "prefix_cache": {"value": True, "runtime": True},
            "block_size": {"value": 16, "runtime": False},
            "num_blocks": {"value": 99, "runtime": False},
        },
    )
    lines = Exposition([told]).text().decode().splitlines()
    for line in (
        'vllm:num_requests_running{engine="0",model_name="m"} 3.0',
        'vllm:num_requests_waiting{engine="0",model_name="m"} 2.0',
        'vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25',
        'vllm:prompt_tokens_total{engine="0",model_name="m"} 0.0',
        'vllm:prompt_tokens_cached_total{engine="0",model_name="m"} 0.0',
        'vllm:generation_tokens_total{engine="0",model_name="m"} 0.0',
        'vllm:prefix_cache_hits_total{engine="0",model_name="m"} 32.0',
        'vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="1"} 3.0',
        'vllm:request_success_total{engine="0",finished_reason="length",model_name="m"} 0.0',
        'vllm:time_to_first_token_seconds_bucket{engine="0",le="0.001",model_name="m"} 0.0',
        'vllm:inter_token_latency_seconds_bucket{engine="0",le="0.025",model_name="m"} 0.0',
        'vllm:request_prefill_time_seconds_count{engine="0",model_name="m"} 0.0',
        'vllm:e2e_request_latency_seconds_count{engine="0",model_name="m"} 0.0',
        'loadlab:setting{engine="0",model_name="m",name="prefix_cache",value="true"} 1.0',
        'vllm:iteration_tokens_total_bucket{engine="0",le="4.0",model_name="m"} 2.0',
        'vllm:iteration_tokens_total_bucket{engine="0",le="8.0",model_name="m"} 3.0',
        'vllm:iteration_tokens_total_count{engine="0",model_name="m"} 3.0',
        'vllm:iteration_tokens_total_sum{engine="0",model_name="m"} 9.0',
    ):
        assert line in lines
    (config,) = [line for line in lines if line.startswith("vllm:cache_config_info{")]
    assert 'enable_prefix_caching="true"' in config
    assert 'num_gpu_blocks="99"' in config


def test_rows_of_several_processes_are_one_page() -> None:
    board = Board(array("d", bytes(8 * 2 * WIDTH)), 2)
    for front in (board, board.seen_by(1)):
        Watch(Tally(front.mine), 0, prompt_tokens=10).token(1)
    told = Told("m", part(board, 0), Load, dict)
    page = Exposition([told]).text().decode()
    assert 'vllm:prompt_tokens_total{engine="0",model_name="m"} 20.0' in page
    assert 'vllm:time_to_first_token_seconds_count{engine="0",model_name="m"} 2.0' in page
