"""The book of hosted models as loadlab reads it, compared with what that package computes itself."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from loadlab import pricing
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Price
from loadlab.pricing import Meter, Use, vendors
from loadlab.pricing.meter import instant

OPENAI = "https://api.openai.com/v1"


def price(url: str, model: str, **endpoint: Any) -> Price:
    found, reason = pricing.resolve(None, Endpoint(url, model, **endpoint), {})
    assert reason == ""
    assert found is not None
    return found


def test_a_vendors_model_is_priced_with_source_version_and_day() -> None:
    found = price(OPENAI, "gpt-5-mini")
    assert (found.name, found.source) == ("openai/gpt-5-mini", "genai-prices, provider openai")
    assert found.version.count(".") == 2
    assert found.as_of == datetime.now(UTC).date().isoformat()
    assert (found.input_usd_per_mtok, found.cached_input_usd_per_mtok) == (0.25, 0.025)
    assert found.output_usd_per_mtok == 2.0


def test_a_batch_discount_in_cents() -> None:
    whole, batch = (
        price(OPENAI, "gpt-5-mini"),
        pricing.resolve("openai/gpt-5-mini@batch", Endpoint("http://h", "m"))[0],
    )
    assert batch is not None
    use = Use(1_000_000, 100_000)
    assert Meter(whole).nano_usd(use) == 450_000_000  # 25 ct in, 20 ct out
    assert Meter(batch).nano_usd(use) == 225_000_000
    assert "batch" in batch.assumption


def test_the_tier_that_requests_ask_for_is_the_tier_that_is_priced() -> None:
    flex = price(OPENAI, "gpt-5-mini", body={"service_tier": "flex"})
    assert flex.name == "openai/gpt-5-mini@flex"
    assert flex.input_usd_per_mtok == 0.125
    assert price(OPENAI, "gpt-5-mini", body={"service_tier": "auto"}).name == "openai/gpt-5-mini"


def test_hosts_that_the_book_does_not_list() -> None:
    model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    here, there = price("https://api.together.ai/v1", model), price("https://api.together.xyz/v1", model)
    assert here == there


def test_a_model_that_a_vendor_does_not_have_is_unpriced_and_says_why() -> None:
    found, reason = pricing.resolve(None, Endpoint(OPENAI, "gpt-99"), {})
    assert found is None
    assert reason.startswith("unpriced: genai-prices")
    assert "knows openai and no model 'gpt-99'" in reason
    assert "--price" in reason


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "http://gpu-box:8000/v1", "http://[::1]:8/v1", "http://gpu.internal/v1"],
)
def test_a_vendors_price_applies_only_where_the_vendor_serves(url: str) -> None:
    found, reason = pricing.resolve(None, Endpoint(url, "gpt-5-mini"), {})
    assert found is None
    assert "gpt-5-mini" in reason


def test_a_tier_that_is_not_sold_shows_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"no price of openai/gpt-5-mini for tier 'bulk'; it has batch"):
        pricing.resolve("openai/gpt-5-mini@bulk", Endpoint("http://h", "m"), {})


def test_ones_own_entry_wins_over_the_book() -> None:
    mine = {"prices": {"gpt-5-mini": {"usd_per_request": 1, "as_of": "2026-10-01"}}}
    found, _ = pricing.resolve(None, Endpoint(OPENAI, "gpt-5-mini"), mine)
    assert found is not None
    assert found.source == "loadlab.toml"


def test_a_price_by_the_hour_of_the_day_becomes_steps_and_ends() -> None:
    found = price("https://api.deepseek.com/v1", "deepseek-chat")
    assert 50 < len(found.steps) < 70
    assert {step.since[11:16] for step in found.steps[:-1]} == {"00:30", "16:30"}
    last = found.steps[-1]
    assert last.rates == {}
    assert Meter(found).nano_usd(Use(1, 1), instant(last.since)) is None


def test_every_model_of_the_book_is_read_or_refused_in_words() -> None:
    every = [(provider, model) for provider in get_snapshot().providers for model in provider.models]
    read = 0
    for provider, model in every:
        found, why = vendors._priced(provider, model.id, None)
        assert (found is None) == bool(why)
        if found:
            read += 1
            Meter(found)
    assert read > 0.8 * len(every)


def test_our_sum_is_the_sum_of_the_book() -> None:
    """Text models with cached input, at any length of prompt, now."""
    luck, compared = random.Random(5), 0
    for vendor, url in (
        ("openai", OPENAI),
        ("anthropic", "https://api.anthropic.com"),
        ("groq", "https://api.groq.com"),
    ):
        provider = next(one for one in get_snapshot().providers if one.id == vendor)
        for model in provider.models:
            found, _ = vendors.at_host(url, model.id)
            if found is None or found.audio_usd_per_s or found.input_usd_per_mtok is None:
                continue
            prompt, output = luck.randrange(1, 400_000), luck.randrange(1, 10_000)
            cached = luck.randrange(prompt)
            use = Usage(input_tokens=prompt, output_tokens=output, cache_read_tokens=cached)
            now = datetime.now(UTC)
            theirs = calc_price(use, model.id, provider_id=vendor, genai_request_timestamp=now).total_price
            ours = Meter(found).nano_usd(Use(prompt, output, cached), round(now.timestamp() * 1e9))
            assert ours is None or abs(ours - theirs * 10**9) <= 1, model.id
            compared += ours is not None
    assert compared > 100
