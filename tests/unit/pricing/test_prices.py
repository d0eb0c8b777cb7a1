from __future__ import annotations

import os
import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from loadlab import pricing
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Price

LOCAL = Endpoint("http://127.0.0.1:8000/v1", "tiny")
OPENAI = Endpoint("https://api.openai.com/v1", "gpt-5-mini")
SHIPPED = tomllib.loads((Path(pricing.__file__).parent / "prices.toml").read_text())


def token_price(**changes: Any) -> Price:
    rates = {"input_usd_per_mtok": 0.25, "output_usd_per_mtok": 2.0, **changes}
    return Price("p", "token", "a list", "2026-11-21", **rates)


def hour_price(usd_per_hour: float) -> Price:
    return Price("p", "hour", "a list", "2026-11-21", usd_per_hour=usd_per_hour)


def resolved(name: str | None, endpoint: Endpoint = LOCAL, config: Any = None) -> Price:
    price, reason = pricing.resolve(name, endpoint, config or {})
    assert reason == ""
    assert price is not None
    return price


def test_tokens_cost_what_a_hand_computes() -> None:
    # 1,000 in at $0.25/Mtok = $0.00025; 500 out at $2/Mtok = $0.001.
    assert pricing.tokens_nano_usd(token_price(), 1000, None, 500) == 1_250_000


def test_cached_tokens_have_their_own_price_or_cost_as_input() -> None:
    cheap = token_price(cached_input_usd_per_mtok=0.025)
    # 600 fresh: 150,000; 400 cached: 10,000; 500 out: 1,000,000 nano-USD.
    assert pricing.tokens_nano_usd(cheap, 1000, 400, 500) == 1_160_000
    assert pricing.tokens_nano_usd(cheap, 1000, None, 500) == 1_250_000
    assert pricing.tokens_nano_usd(token_price(), 1000, 400, 500) == 1_250_000
    assert pricing.tokens_nano_usd(cheap, 100, 400, 0) == 2_500  # never more cached than there are


def test_money_is_exact_where_binary_fractions_are_not() -> None:
    tenth = token_price(input_usd_per_mtok=0.1, output_usd_per_mtok=0.3)
    assert pricing.tokens_nano_usd(tenth, 3, 0, 3) == 1200
    assert pricing.tokens_nano_usd(tenth, 10**12, 0, 0) == 10**14


@pytest.mark.parametrize(("prompt", "output"), [(None, 5), (5, None)])
def test_unknown_tokens_are_unpriced(prompt: int | None, output: int | None) -> None:
    assert pricing.tokens_nano_usd(token_price(), prompt, None, output) is None


def test_no_price_and_an_hourly_price_give_no_token_cost() -> None:
    assert pricing.tokens_nano_usd(None, 5, 0, 5) is None
    assert pricing.tokens_nano_usd(hour_price(1.0), 5, 0, 5) is None


def test_an_hour_costs_by_the_window_and_tokens_by_their_number() -> None:
    assert pricing.level_cost(hour_price(7.20), 1, 0, 1, 30.0) == pytest.approx(0.06)
    assert pricing.level_cost(token_price(), 1_000_000, 0, 1_000_000, 30.0) == pytest.approx(2.25)
    assert pricing.level_cost(None, 1, 0, 1, 30.0) is None


def test_an_h100_at_4_29_and_2500_tokens_a_second_is_48_cents_a_million() -> None:
    usd = pricing.level_cost(hour_price(4.29), 0, 0, 150_000, 60.0)
    assert pricing.usd_per_mtok(usd, 150_000) == pytest.approx(0.47667, abs=1e-5)


def test_a_price_per_token_of_nothing_is_unknown() -> None:
    assert pricing.usd_per_mtok(1.0, 0) is None
    assert pricing.usd_per_mtok(None, 5) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_price_has_a_source_a_past_date_and_a_positive_amount(name: str) -> None:
    price = resolved(name)
    assert len(price.source) > 10
    assert date(2026, 1, 1) <= date.fromisoformat(price.as_of) <= date.today()
    amounts = [price.usd_per_hour, price.input_usd_per_mtok, price.output_usd_per_mtok]
    assert all(amount > 0 for amount in amounts if amount is not None)
    assert (price.usd_per_hour is None) == (price.kind == "token")


def test_the_documentation_names_every_shipped_price(repository: Path) -> None:
    page = (repository / "docs/prices.md").read_text()
    for name, entry in SHIPPED.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        told = ("usd_per_hour", "input_usd_per_mtok", "output_usd_per_mtok", "source", "as_of")
        cells = [f"| {entry[key]} |" for key in told if key in entry]
        assert any(all(cell in row for cell in cells) for row in rows), name


def test_a_cpu_hour_counts_this_host_and_says_so() -> None:
    price = resolved("cpu-hour")
    assert price.usd_per_hour == pytest.approx(0.044625 * (os.cpu_count() or 1))
    assert f"all {os.cpu_count()} vCPUs" in price.assumption


def test_a_device_hour_is_one_device_unless_multiplied() -> None:
    assert resolved("h200-hour").usd_per_hour == 7.912
    assert resolved("h200-hour").assumption == "1 device"
    eight = resolved("8xh100-hour")
    assert (eight.name, eight.usd_per_hour, eight.assumption) == (
        "h100-hour",
        pytest.approx(55.04),
        "8 devices",
    )
    assert resolved("4xcpu-hour").usd_per_hour == pytest.approx(0.1785)


@pytest.mark.parametrize("text", ["2.50/h", "$2.50/h", "usd-per-hour:2.50"])
def test_a_price_may_be_given_outright(text: str) -> None:
    price = resolved(text)
    assert (price.kind, price.usd_per_hour, price.source) == ("hour", 2.5, "given by the user")


@pytest.mark.parametrize("text", ["0/h", "usd-per-hour:0", "0xh100-hour", "2xgpt-5-mini"])
def test_a_price_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="price '"):
        pricing.resolve(text, LOCAL, {})


@pytest.mark.parametrize("text", ["-1/h", "h10-hour", "nan/h", "2.50", "8xh10-hour"])
def test_an_unknown_name_shows_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownNameError, match="h100-hour"):
        pricing.resolve(text, LOCAL, {})


def test_the_flag_wins_over_the_target_and_the_target_over_the_model() -> None:
    priced = Endpoint(OPENAI.url, OPENAI.model, price="l4-hour")
    assert resolved("h100-hour", priced).name == "h100-hour"
    assert resolved(None, priced).name == "l4-hour"
    assert resolved(None, OPENAI).name == "gpt-5-mini"
    with pytest.raises(UnknownNameError):
        pricing.resolve(None, Endpoint(LOCAL.url, "m", price="l5-hour"), {})


def test_a_vendors_price_applies_only_where_the_vendor_serves() -> None:
    price, reason = pricing.resolve(None, Endpoint("http://127.0.0.1:8000/v1", "gpt-5-mini"), {})
    assert price is None
    assert reason.startswith("unpriced: ")
    assert "gpt-5-mini" in reason
    assert "--price" in reason


def test_a_vendors_model_may_have_another_name_than_its_price() -> None:
    groq = Endpoint("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile")
    assert resolved(None, groq).name == "groq/llama-3.3-70b"


def test_loadlab_toml_adds_prices_and_wins() -> None:
    config = {
        "prices": {
            "h100-hour": {
                "usd_per_hour": 2,
                "unit": "device",
                "source": "our contract",
                "as_of": "2026-10-01",
            },
            "house": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 3, "models": ["tiny"]},
        }
    }
    mine = resolved("2xh100-hour", config=config)
    assert (mine.usd_per_hour, mine.source, mine.as_of) == (4, "our contract", "2026-10-01")
    house = resolved(None, config=config)
    assert (house.name, house.kind, house.source) == ("house", "token", "loadlab.toml")
    assert pricing.tokens_nano_usd(house, 10, None, 10) == 40_000


def test_loadlab_toml_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadlab.toml").write_text("[prices.mine]\nusd_per_hour = 1.5\n")
    monkeypatch.chdir(tmp_path)
    price, _ = pricing.resolve("mine", LOCAL)
    assert price is not None
    assert (price.usd_per_hour, price.assumption) == (1.5, "1 deployment")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (3, "must be a table"),
        ({}, "needs either"),
        ({"input_usd_per_mtok": 1}, "needs either"),
        ({"usd_per_hour": 1, "input_usd_per_mtok": 1, "output_usd_per_mtok": 1}, "needs either"),
        ({"usd_per_hour": "2"}, "not a positive number"),
        ({"usd_per_hour": 0}, "not a positive number"),
        ({"usd_per_hour": float("nan")}, "not a positive number"),
        ({"usd_per_hour": 1, "usd": 1}, "unknown key 'usd'"),
        ({"usd_per_hour": 1, "unit": "rack"}, "unit = 'rack'"),
    ],
)
def test_a_bad_entry_names_itself_and_its_fault(entry: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        pricing.resolve("l4-hour", LOCAL, {"prices": {"mine": entry}})
    assert "[prices.mine]" in str(caught.value)
