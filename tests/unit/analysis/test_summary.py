"""A Summary computed by hand from frames written by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import handmade
import numpy as np
import pandas as pd
import pytest

from loadlab.analysis import Summary, summarise, summary_of
from loadlab.analysis.cost import KEYS
from loadlab.core.nouns import Level, Price, Terms
from loadlab.store import Pricing

HOUR = Price(
    "cpu-hour", "hour", source="list price", as_of="2026-11-01", assumption="2 vCPU", usd_per_hour=0.36
)
TOKEN = Price(
    "api", "token", source="list price", as_of="2026-11-01", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0
)


def summary(
    *rows: dict[str, Any], levels: tuple[Level, ...] = (), readings: Any = None, **run: Any
) -> Summary:
    requests = handmade.requests(*rows)
    return summarise(
        handmade.run(*levels, **run),
        handmade.levels(*levels),
        requests,
        handmade.gaps(requests),
        readings,
    )


def test_counts_leave_the_warm_up_out() -> None:
    found = summary(
        handmade.request(0, warmup=True),
        handmade.failure(1, warmup=True),
        handmade.request(10),
        handmade.request(20),
        handmade.failure(30, "timeout"),
        handmade.failure(40, "http"),
        handmade.failure(50, "timeout"),
    )
    assert found.levels[0].requests == {
        "sent": 5,
        "ok": 2,
        "failed": 3,
        "errors": {"timeout": 2, "http": 1},
        "warmup": 2,
    }


def test_latencies_come_from_successes_and_send_lag_from_all_that_were_sent() -> None:
    metrics = (
        summary(
            handmade.request(0, ttft=40, lag=1, connect=5),
            handmade.request(10, ttft=60, lag=2),
            handmade.failure(20, lag=4),
            handmade.failure(30, "connect", sent_ns=None),
            handmade.request(30, ttft=9_000, warmup=True),
        )
        .levels[0]
        .metrics
    )
    assert metrics["ttft_ms"] == {
        "n": 2, "mean": 50, "p50": 40, "p90": 60, "p95": 60, "p99": 60, "max": 60,
    }  # fmt: skip
    assert (metrics["send_lag_ms"]["n"], metrics["send_lag_ms"]["max"]) == (3, 4)
    assert (metrics["connect_ms"]["n"], metrics["connect_ms"]["max"]) == (1, 5)
    assert metrics["ttft_planned_ms"]["max"] == 62


def test_gaps_of_failures_warm_up_and_other_levels_stay_out() -> None:
    levels = (Level(0, users=1), Level(1, users=2))
    gaps = pd.DataFrame(
        {
            "level": [0, 0, 0, 0, 1],
            "warmup": [False, False, True, False, False],
            "ok": [True, True, True, False, True],
            "itl_ms": [10.0, 30.0, 500.0, 600.0, 700.0],
        }
    )
    requests = handmade.requests(handmade.request(), handmade.request(level=1))
    found = summarise(handmade.run(*levels), handmade.levels(*levels), requests, gaps)
    itl = found.levels[0].metrics["itl_ms"]
    assert (itl["n"], itl["mean"], itl["p50"], itl["max"]) == (2, 20, 10, 30)
    assert found.levels[1].metrics["itl_ms"]["max"] == 700


def test_rates_over_first_planned_to_last_done() -> None:
    level = summary(
        handmade.request(0, warmup=True),
        handmade.request(1000, ttft=50, tokens=6, itl=10),
        handmade.request(1500, ttft=50, tokens=4, itl=10),
        handmade.failure(1400, done_ns=3_000 * handmade.MS),
    ).levels[0]
    assert level.window_s == pytest.approx(2.0)
    assert level.rates == pytest.approx(
        {"requests_per_s": 1.0, "output_tokens_per_s": 5.0, "total_tokens_per_s": 15.0}
    )


def test_audio_has_a_rate_of_its_own_and_its_pieces_are_no_tokens() -> None:
    sounds = [handmade.request(1000 * n, ttft=900, tokens=2, itl=50, audio_s=4.0, chunks=9) for n in range(2)]
    level = summary(*sounds).levels[0]
    assert level.rates["audio_s_per_s"] == pytest.approx(8.0 / level.window_s)
    assert "audio_s_per_s" not in summary(handmade.request(0)).levels[0].rates


def test_unknown_token_counts_give_unknown_rates() -> None:
    level = summary(handmade.request(output_tokens=None), handmade.request(5, output_tokens=None)).levels[0]
    assert level.rates["output_tokens_per_s"] is None
    assert level.rates["total_tokens_per_s"] is None
    assert level.rates["requests_per_s"] is not None


def test_hour_price_costs_the_window() -> None:
    level = summary(
        handmade.request(0, ttft=500, tokens=50, itl=10), handmade.failure(9_900), price=HOUR
    ).levels[0]
    assert level.window_s == pytest.approx(10.0)
    assert level.cost["usd"] == pytest.approx(0.001)
    assert level.cost["usd_per_mtok_output"] == pytest.approx(0.001 / 50 * 1e6)
    assert level.cost["usd_per_mtok_blended"] == pytest.approx(0.001 / 60 * 1e6)
    assert level.cost["basis"] == (
        "hour price cpu-hour $0.360/h × 10.0 s (2 vCPU, list price, 2026-11-01); duty cycle 100%"
    )


def test_token_price_sums_what_each_request_cost() -> None:
    rows = [handmade.request(at, cost_nano_usd=cost) for at, cost in ((0, 3_000_000), (10, 1_000_000))]
    cost = summary(*rows, price=TOKEN).levels[0].cost
    assert cost["usd"] == cost["usd_at_least"] == 0.004
    assert cost["usd_per_mtok_output"] == pytest.approx(0.004 / 6 * 1e6)


def test_one_unknown_cost_makes_the_sum_unknown() -> None:
    level = summary(
        handmade.request(0, cost_nano_usd=3_000_000),
        handmade.request(10, cost_nano_usd=1_000_000),
        handmade.failure(20),
        price=TOKEN,
    ).levels[0]
    assert level.cost["usd"] is None
    assert level.cost["usd_at_least"] == pytest.approx(0.004)
    assert level.cost["usd_per_mtok_output"] is None
    assert level.cost["basis"] == (
        "token price api $1.00/Mtok in, $2.00/Mtok out (list price, 2026-11-01); "
        "1 of 3 requests without a known cost"
    )


@pytest.mark.parametrize(
    ("why", "basis"),
    [
        ("unpriced: no price is known for localhost", "unpriced: no price is known for localhost"),
        ("no price is known", "unpriced: no price is known"),
        ("", "unpriced: no price was given"),
    ],
)
def test_unpriced_is_not_free(why: str, basis: str) -> None:
    cost = summary(handmade.request(), unpriced=why).levels[0].cost
    assert cost == {**dict.fromkeys(KEYS), "basis": basis, "remarks": []}


def test_an_hour_price_without_any_end_is_unknown() -> None:
    cost = summary(handmade.failure(done_ns=None), price=HOUR).levels[0].cost
    assert cost["usd"] is None
    assert "no request ended" in cost["basis"]


def test_every_request_failed_is_still_a_summary_without_nan() -> None:
    level = summary(*(handmade.failure(at) for at in range(5)), price=HOUR).levels[0]
    assert level.metrics["ttft_ms"]["n"] == 0
    assert level.metrics["ttft_ms"]["p99"] is None
    assert level.rates["requests_per_s"] == 0
    assert level.cost["usd_per_mtok_output"] is None
    assert not any(isinstance(value, float) and math.isnan(value) for value in _numbers(level))
    assert level.examples == {"timeout": "timeout in words"}


def _numbers(level: Any) -> list[Any]:
    parts = (level.rates, level.cost, level.requests, *level.metrics.values())
    return [value for part in parts for value in part.values()]


def test_plain_python_numbers_come_out() -> None:
    level = summary(handmade.request(), handmade.request(5)).levels[0]
    kinds = {type(value) for value in _numbers(level)}
    assert kinds <= {int, float, str, dict, list, type(None)}


def test_offered_is_what_the_level_row_says() -> None:
    levels = (
        Level(0, users=8, requests=96, warmup_s=1.5),
        Level(1, rate=2.5, arrivals="poisson", duration_s=30),
    )
    found = summary(handmade.request(), handmade.request(level=1), levels=levels)
    assert [level.offered for level in found.levels] == [levels[0].offered, levels[1].offered]
    assert [level.label for level in found.levels] == ["8 users", "2.5 req/s poisson"]
    assert isinstance(found.levels[0].offered["users"], int)


def test_one_user_is_singular() -> None:
    assert summary(handmade.request(), levels=(Level(0, users=1),)).levels[0].label == "1 user"


def test_generator_health_is_the_worst_device_during_the_level() -> None:
    readings = handmade.readings(
        handmade.reading("hub_stall_ms", 3, device="worker0"),
        handmade.reading("hub_stall_ms", 40, device="worker1"),
        handmade.reading("hub_stall_ms", 900, at=2e6),
        handmade.reading("hub_stall_ms", 800, source="host"),
        *(handmade.reading("cpu_percent", value, device="worker0") for value in range(1, 101)),
        handmade.reading("cpu_percent", 50, device="worker1"),
        handmade.reading("backlog", 70, source="recorder"),
        handmade.reading("behind_ms", 900, source="recorder"),
        handmade.reading("behind_ms", 300, source="recorder"),
    )
    generator = summary(handmade.request(), readings=readings).levels[0].generator
    assert generator == {
        "hub_stall_ms_max": 40, "cpu_percent_p95": 95, "backlog_max": 70, "behind_ms_max": 900,
    }  # fmt: skip


def test_lengths_count_only_what_the_server_counted() -> None:
    found = summary(
        handmade.request(0, tokens=100),
        handmade.request(1, tokens=101),
        handmade.request(2, tokens=99),
        handmade.request(3, tokens=200, count_source="chunks"),
        handmade.request(4, tokens=5, max_tokens=0),
    )
    level = found.levels[0]
    assert level.lengths == {"reached_max_tokens": 2, "ended_before": 1, "beyond_max_tokens": 1}
    assert "output length: 2 of 3 answers reached their max_tokens" in found.notes


def test_answers_of_one_length_and_of_single_tokens_need_no_note() -> None:
    notes = summary(*(handmade.request(at, tokens=100) for at in range(1000))).notes
    assert notes == ()


def test_tokens_per_event_leaves_out_answers_in_one_piece() -> None:
    found = summary(
        handmade.request(0, output_tokens=90, chunks=30),
        handmade.request(1, output_tokens=30, chunks=10),
        handmade.request(2, output_tokens=500, chunks=1),
        handmade.request(3, output_tokens=500, chunks=2, count_source="chunks"),
    )
    assert found.levels[0].signs.tokens_per_event == pytest.approx(3.0)
    assert (
        "an event carried up to 3.00 tokens on average: itl_ms is between events, not tokens" in found.notes
    )


def test_a_free_place_taken_is_no_wait() -> None:
    waits = (0, 900_000, 1_100_000, 5_000_000)
    rows = [handmade.request(at, queued_ns=wait) for at, wait in enumerate(waits)]
    assert summary(*rows).levels[0].signs.queued == 2


def test_requests_under_way_and_events_per_second() -> None:
    rows = [handmade.request(at, ttft=500, tokens=51, itl=10) for at in (0, 10, 20, 2_000)]
    signs = summary(*rows).levels[0].signs
    assert signs.under_way == 3
    assert signs.events_per_s == pytest.approx(4 * 51 / 3.0)


@pytest.mark.parametrize(
    ("state", "note"),
    [("interrupted", "1 of 2 levels never began"), ("running", "1 of 2 levels are still to come")],
)
def test_a_level_that_never_began_is_left_out_and_noted(state: str, note: str) -> None:
    levels = (Level(0, users=1), Level(1, users=2))
    requests = handmade.requests(handmade.request())
    found = summarise(
        handmade.run(*levels, state=state),
        handmade.levels(levels[0]),
        requests,
        handmade.gaps(requests),
    )
    assert [level.index for level in found.levels] == [0]
    assert note in found.notes


def test_notes_say_how_small_the_sample_is() -> None:
    notes = summary(*(handmade.request(at) for at in range(71)), notes=["metrics page unreachable"]).notes
    assert notes == (
        "metrics page unreachable",
        "small samples (71 requests): for 10 to lie beyond a percentile it takes "
        "100 for p90, 200 for p95, 1,000 for p99",
    )


def test_enough_requests_need_no_note() -> None:
    assert summary(*(handmade.request(at) for at in range(1_000))).notes == ()


def test_notes_of_a_running_run_and_of_unknown_prompts() -> None:
    rows = [handmade.request(at, prompt_tokens=None if at < 3 else 10) for at in range(1_000)]
    notes = summary(*rows, state="running").notes
    assert notes == (
        "the run is still going: these are its numbers so far",
        "prompt tokens of 3 answers are unknown: total throughput and blended cost miss them",
    )


def test_summary_of_reads_each_frame_of_the_named_run() -> None:
    requests = handmade.requests(handmade.request())

    class NoBatches:
        def of(self, run_id: str) -> None:
            assert run_id == "run-7"

    class OneRun:
        batches = NoBatches()

        def run(self, ref: str) -> handmade.StoredRun:
            assert ref == "latest"
            return handmade.run(id="run-7", environment={"cpus": 2})

        def levels(self, run_id: str) -> pd.DataFrame:
            assert run_id == "run-7"
            return handmade.levels()

        def requests(self, run_id: str, level: int | None) -> pd.DataFrame:
            assert level is None
            return requests

        def pricings(self, run_id: str) -> list[Pricing]:
            return [Pricing(0, TOKEN, "", Terms())]

        def gaps(self, run_id: str, level: int | None) -> pd.DataFrame:
            assert level is None
            return handmade.gaps(requests)

        def readings(self, run_id: str) -> pd.DataFrame:
            return handmade.readings(handmade.reading("hub_stall_ms", 5))

        def calibration(self, environment: Mapping[str, Any]) -> pd.DataFrame:
            assert environment == {"cpus": 2}
            return handmade.calibration({"streams": 100, "tokens_per_s": 1000.0, "ttft_p50_ms": 0.25})

    found = summary_of(OneRun(), "latest")
    assert found.run["id"] == "run-7"
    assert found.levels[0].cost["usd"] == pytest.approx(10e-6 + 3 * 2e-6)
    assert found.levels[0].generator["hub_stall_ms_max"] == 5
    assert found.levels[0].accuracy["ttft_p50_ms"] == 0.25


def test_string_columns_may_be_pandas_strings_with_nan() -> None:
    requests = handmade.requests(handmade.request(), handmade.failure(5))
    texts = dict.fromkeys(("error_kind", "error_detail", "count_source"), "str")
    found = summarise(handmade.run(), handmade.levels(), requests.astype(texts), handmade.gaps(requests))
    assert found.levels[0].requests["errors"] == {"timeout": 1}
    assert found.levels[0].token_counts == {"usage": 1}


def test_random_levels_agree_with_a_plain_loop() -> None:
    random = np.random.default_rng(7)
    rows = [
        handmade.request(float(at), ttft=float(ttft), level=int(level), warmup=bool(warm))
        for at, ttft, level, warm in zip(
            random.uniform(0, 9_000, 400),
            random.lognormal(4, 1, 400),
            random.integers(0, 3, 400),
            random.random(400) < 0.1,
            strict=True,
        )
    ]
    levels = tuple(Level(index, users=index + 1) for index in range(3))
    found = summary(*rows, levels=levels)
    for level in found.levels:
        mine = [row for row in rows if row["level"] == level.index and not row["warmup"]]
        ttft = sorted((row["first_token_ns"] - row["sent_ns"]) / handmade.MS for row in mine)
        assert level.metrics["ttft_ms"]["p95"] == pytest.approx(ttft[math.ceil(0.95 * len(ttft)) - 1])
        assert level.requests["sent"] == len(mine)
