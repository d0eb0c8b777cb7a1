"""Requests priced to the nano-USD: by hand, and by rules that must hold for any use."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from loadlab.core.nouns import Price, PriceStep
from loadlab.pricing import Meter, Use
from loadlab.pricing.meter import NOTHING, RATES, instant

NS = 10**9
RULES = range(200)


def price(**rates: Any) -> Price:
    return Price("p", "token", "a list", "2026-11-21", **rates)


def cost(rates: dict[str, float], at_ns: int = 0, /, **use: Any) -> int | None:
    return Meter(price(**rates)).nano_usd(Use(**use), at_ns)


PLAIN = {"input_usd_per_mtok": 0.25, "output_usd_per_mtok": 2.0}


def test_tokens_cost_what_a_hand_computes() -> None:
    # 1,000 in at $0.25/Mtok = $0.00025; 500 out at $2/Mtok = $0.001.
    assert cost(PLAIN, prompt_tokens=1000, output_tokens=500) == 1_250_000


def test_an_api_with_cache_and_reasoning_by_hand() -> None:
    rates = {
        "input_usd_per_mtok": 2.5, "cached_input_usd_per_mtok": 0.25, "cache_write_usd_per_mtok": 3.125,
        "output_usd_per_mtok": 10.0, "reasoning_usd_per_mtok": 12.0, "usd_per_request": 0.005,
    }  # fmt: skip
    # 10,000 prompt: 6,000 cached = 0.15 ct, 1,000 written = 0.3125 ct, 3,000 fresh = 0.75 ct;
    # 2,000 output: 1,500 reasoning = 1.8 ct, 500 answer = 0.5 ct; fee 0.5 ct. Together 4.0125 ct.
    spent = cost(
        rates, prompt_tokens=10_000, cached_tokens=6000, cache_write_tokens=1000, output_tokens=2000,
        reasoning_tokens=1500,
    )  # fmt: skip
    assert spent == 40_125_000


def test_a_kind_without_a_rate_or_a_count_costs_as_its_whole() -> None:
    cheap = {**PLAIN, "cached_input_usd_per_mtok": 0.025}
    # 600 fresh: 150,000; 400 cached: 10,000; 500 out: 1,000,000 nano-USD.
    assert cost(cheap, prompt_tokens=1000, cached_tokens=400, output_tokens=500) == 1_160_000
    assert cost(cheap, prompt_tokens=1000, output_tokens=500) == 1_250_000
    assert cost(PLAIN, prompt_tokens=1000, cached_tokens=400, output_tokens=500) == 1_250_000
    assert cost(PLAIN, prompt_tokens=0, output_tokens=500, reasoning_tokens=400) == 1_000_000
    # Never more cached than there are.
    assert cost(cheap, prompt_tokens=100, cached_tokens=400, output_tokens=0) == 2_500


def test_money_is_exact_where_binary_fractions_are_not() -> None:
    tenth = {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.3}
    assert cost(tenth, prompt_tokens=3, output_tokens=3) == 1200
    assert cost(tenth, prompt_tokens=10**12, output_tokens=0) == 10**14


def test_audio_fees_and_inferences_by_hand() -> None:
    assert cost({"audio_usd_per_s": 0.0001}, audio_s=90.5) == 9_050_000
    assert cost({"usd_per_request": 0.0004}) == 400_000
    spoken = {**PLAIN, "audio_input_usd_per_mtok": 40.0, "audio_output_usd_per_mtok": 80.0}
    # 900 text + 100 audio in: 225,000 + 4,000,000; 50 audio out: 4,000,000.
    assert cost(
        spoken, prompt_tokens=1000, audio_input_tokens=100, output_tokens=50, audio_output_tokens=50
    ) == 8_225_000  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "use"),
    [
        (PLAIN, {"output_tokens": 5}),
        (PLAIN, {"prompt_tokens": 5}),
        ({"audio_usd_per_s": 0.1}, {"prompt_tokens": 5, "output_tokens": 5}),
        ({}, {"prompt_tokens": 5, "output_tokens": 5}),
    ],
)
def test_what_is_unknown_is_unpriced(rates: dict[str, float], use: dict[str, int]) -> None:
    assert cost(rates, **use) is None


def test_a_price_that_changes_during_a_run_changes_at_its_instant() -> None:
    dear = PriceStep({"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 4.0}, "2026-11-21T12:00:00Z")
    meter, noon = Meter(price(**PLAIN, steps=(dear,))), instant("2026-11-21T12:00:00+00:00")
    use = Use(1000, 500)
    assert meter.nano_usd(use, noon - 1) == 1_250_000
    assert meter.nano_usd(use, noon) == 2_500_000


def test_a_long_prompt_pays_its_tier_for_every_token() -> None:
    tier = PriceStep({"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 3.0}, "", 200_000)
    meter = Meter(price(**PLAIN, steps=(tier,)))
    assert meter.nano_usd(Use(200_000, 1000)) == 52_000_000  # 5 ct in, 0.2 ct out
    assert meter.nano_usd(Use(200_001, 1000)) == 103_000_500
    assert meter.nano_usd(Use(None, 1000)) is None


def test_a_change_of_all_rates_ends_the_tiers_before_it() -> None:
    tier = PriceStep({"input_usd_per_mtok": 9.0}, "", 10)
    later = PriceStep({"input_usd_per_mtok": 1.0}, "2026-01-01")
    tier_later = PriceStep({"input_usd_per_mtok": 2.0}, "2026-01-01", 100)
    meter, day = Meter(price(input_usd_per_mtok=3.0, steps=(tier, tier_later, later))), instant("2026-01-01")
    assert meter.nano_usd(Use(50), day - 1) == 50 * 9000
    assert meter.nano_usd(Use(50), day) == 50 * 1000
    assert meter.nano_usd(Use(101), day) == 101 * 2000


def test_after_the_last_known_rate_there_is_no_price() -> None:
    meter = Meter(price(**PLAIN, steps=(PriceStep({}, "2026-12-01"),)))
    assert meter.nano_usd(Use(1, 1), instant("2026-12-01") - 1) is not None
    assert meter.nano_usd(Use(1, 1), instant("2026-12-01")) is None


@dataclass
class Answer:
    error_kind: str | None = None
    status: int | None = 200
    sent_ns: int | None = 5


@pytest.mark.parametrize(
    ("answer", "use", "billed"),
    [
        (Answer(), Use(1000, 500), 1_250_000),
        (Answer("http_429", 429), Use(), 0),
        (Answer("http_500", 500), Use(1000, 0), 250_000),
        (Answer("connect", None, None), Use(), 0),
        (Answer("timeout", None), Use(), None),
        (Answer("truncated", 200), Use(None, 12), None),
        (Answer("truncated", 200), Use(1000, 12), 274_000),
        (Answer(), Use(), None),
    ],
)
def test_failures_are_billed_where_a_vendor_would(answer: Answer, use: Use, billed: int | None) -> None:
    assert Meter(price(**PLAIN)).billed_nano_usd(answer, use, 0) == billed


def drawn(luck: random.Random) -> tuple[dict[str, float], Use]:
    """Any price with plain rates and any use that fits it."""
    rates = {name: round(luck.uniform(0, 20), 4) for name in RATES if luck.random() < 0.6}
    rates |= {"input_usd_per_mtok": 1.25, "output_usd_per_mtok": 7.5}
    counts = {field.name: luck.randrange(10**5) for field in fields(Use)}
    counts["prompt_tokens"] += sum(counts[part] for part in ("cached_tokens", "cache_write_tokens"))
    counts["prompt_tokens"] += counts["audio_input_tokens"]
    counts["output_tokens"] += counts["reasoning_tokens"] + counts["audio_output_tokens"]
    return rates, Use(**counts)


def added(first: Use, second: Use) -> Use:
    return Use(*(getattr(first, at.name) + getattr(second, at.name) for at in fields(Use)))


@pytest.mark.parametrize("seed", RULES)
def test_cost_is_never_negative_and_additive_but_for_the_fee_and_rounding(seed: int) -> None:
    luck = random.Random(seed)
    rates, first = drawn(luck)
    second = drawn(luck)[1]
    meter, fee = Meter(price(**rates)), round(rates.get("usd_per_request", 0.0) * NS)
    one, two, both = (meter.nano_usd(use) for use in (first, second, added(first, second)))
    assert one is not None
    assert two is not None
    assert both is not None
    assert min(one, two, both) >= 0
    assert abs(one + two - fee - both) <= 2
    assert abs((meter.nano_usd(NOTHING) or 0) - fee) <= 1


@pytest.mark.parametrize("seed", RULES)
def test_null_spreads_and_only_from_what_is_charged(seed: int) -> None:
    luck = random.Random(seed)
    rates, use = drawn(luck)
    needed = ["prompt_tokens", "output_tokens"] + ["audio_s"] * ("audio_usd_per_s" in rates)
    for field in fields(Use):
        unknown = Meter(price(**rates)).nano_usd(replace(use, **{field.name: None}))
        assert (unknown is None) == (field.name in needed), field.name


@pytest.mark.parametrize("seed", RULES)
def test_a_discount_on_every_rate_is_one_on_the_cost(seed: int) -> None:
    rates, use = drawn(random.Random(seed))
    full = Meter(price(**rates)).nano_usd(use)
    half = Meter(price(**{name: rate / 2 for name, rate in rates.items()})).nano_usd(use)
    assert full is not None
    assert half is not None
    assert abs(full - 2 * half) <= 2
