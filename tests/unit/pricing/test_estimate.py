"""What a run will cost, told beforehand, by hand."""

from __future__ import annotations

import pytest

from loadlab.core.nouns import Price, PriceStep
from loadlab.pricing.estimate import Size, dearest, estimate

PRICE = Price(
    "p", "token", "a list", "2026-11-21", input_usd_per_mtok=1.0, output_usd_per_mtok=10.0,
    cached_input_usd_per_mtok=0.1, cache_write_usd_per_mtok=1.25, usd_per_request=0.001,
)  # fmt: skip


def test_likely_and_worst_by_hand() -> None:
    found = estimate(PRICE, [Size(3984, 1, 100)], 50)
    assert found is not None
    # 1,000 prompt tokens at $1 + 100 at $10 + the fee; at worst 4,000 at the rate of cache writes.
    assert found.request_usd == pytest.approx(0.001 + 0.001 + 0.001)
    assert found.worst_request_usd == pytest.approx(0.005 + 0.001 + 0.001)
    assert found.words == "about $0.150 for 50 requests, at most $0.350"


def test_the_mean_is_likely_and_the_largest_is_the_worst() -> None:
    found = estimate(PRICE, [Size(0, 0, 0), Size(0, 0, 1000)], None)
    assert found is not None
    assert found.request_usd == pytest.approx(0.006)
    assert found.worst_request_usd == pytest.approx(0.011)
    assert "how many is not known beforehand" in found.words


def test_the_dearest_rates_of_any_time_and_length_are_the_worst() -> None:
    steps = (
        PriceStep({"output_usd_per_mtok": 30.0}, "2026-12-01"),
        PriceStep({"input_usd_per_mtok": 9.0}, "", 5),
    )
    most = dearest(
        Price("p", "token", "s", "", input_usd_per_mtok=1.0, output_usd_per_mtok=10.0, steps=steps)
    )
    assert (most.input_usd_per_mtok, most.output_usd_per_mtok) == (9.0, 30.0)


def test_audio_is_estimated_by_its_bytes() -> None:
    heard = Price("p", "token", "s", "", audio_usd_per_s=0.01)
    found = estimate(heard, [Size(0, 0, 0, 320_000)], 1)
    assert found is not None
    assert (found.request_usd, found.worst_request_usd) == (pytest.approx(0.1), pytest.approx(0.4))


def test_nothing_to_go_by_is_no_estimate() -> None:
    assert estimate(PRICE, [], 5) is None
