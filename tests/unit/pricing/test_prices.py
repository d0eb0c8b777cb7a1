from __future__ import annotations

import os
import re
import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from loadlab import pricing
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Price

LOCAL = Endpoint("http://127.0.0.1:8000/v1", "tiny")
SHIPPED = tomllib.loads((Path(pricing.__file__).parent / "prices.toml").read_text())


def resolved(name: str | None, endpoint: Endpoint = LOCAL, config: Any = None) -> Price:
    price, reason = pricing.resolve(name, endpoint, config or {})
    assert reason == ""
    assert price is not None
    return price


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_price_has_a_source_a_past_date_and_a_positive_amount(name: str) -> None:
    price = resolved(name)
    assert len(price.source) > 10
    assert date(2026, 1, 1) <= date.fromisoformat(price.as_of) <= date.today()
    assert price.kind == "hour"
    assert price.usd_per_hour is not None
    assert 0 < price.usd_per_hour < 100
    assert re.search(r"on-demand|reserved|spot", price.assumption)


def test_the_documentation_names_every_shipped_price(repository: Path) -> None:
    page = (repository / "docs/prices.md").read_text()
    for name, entry in SHIPPED.items():
        rows = [line for line in page.splitlines() if line.startswith(f"| `{name}` |")]
        cells = [f"| {entry[key]} |" for key in ("usd_per_hour", "terms", "source", "as_of")]
        assert any(all(cell in row for cell in cells) for row in rows), name


def test_a_cpu_hour_counts_this_host_and_says_so() -> None:
    price = resolved("cpu-hour")
    assert price.usd_per_hour == pytest.approx(0.044625 * (os.cpu_count() or 1))
    assert f"all {os.cpu_count()} vCPUs" in price.assumption


def test_a_device_hour_is_of_one_device_until_their_number_is_stated_or_seen() -> None:
    one = resolved("h200-hour")
    assert (one.usd_per_hour, one.units, one.assumption) == (7.912, None, "on-demand; per device")
    eight = resolved("8xh100-hour")
    assert (eight.name, eight.units, eight.assumption) == ("h100-hour", 8, "on-demand; 8 devices")
    assert eight.usd_per_hour == pytest.approx(55.04)
    assert resolved("4xcpu-hour").usd_per_hour == pytest.approx(0.1785)


@pytest.mark.parametrize("text", ["2.50/h", "$2.50/h", "usd-per-hour:2.50"])
def test_a_price_may_be_given_outright(text: str) -> None:
    price = resolved(text)
    assert (price.kind, price.usd_per_hour, price.source) == ("hour", 2.5, "given by the user")


@pytest.mark.parametrize("text", ["0/h", "-1/h", "usd-per-hour:0", "0xh100-hour"])
def test_a_price_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="price '"):
        pricing.resolve(text, LOCAL, {})


@pytest.mark.parametrize("text", ["h10-hour", "nan/h", "2.50", "8xh10-hour"])
def test_an_unknown_name_shows_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownNameError, match="h100-hour"):
        pricing.resolve(text, LOCAL, {})


def test_the_flag_wins_over_the_target_and_the_target_over_the_model() -> None:
    house = {"prices": {"house": {"usd_per_request": 1, "models": ["m"], "as_of": "2026-10-01"}}}
    priced = Endpoint(LOCAL.url, "m", price="l4-hour")
    assert resolved("h100-hour", priced, house).name == "h100-hour"
    assert resolved(None, priced, house).name == "l4-hour"
    assert resolved(None, Endpoint(LOCAL.url, "m"), house).name == "house"
    with pytest.raises(UnknownNameError):
        pricing.resolve(None, Endpoint(LOCAL.url, "m", price="l5-hour"), {})


def test_loadlab_toml_adds_prices_and_wins() -> None:
    config = {
        "prices": {
            "h100-hour": {
                "usd_per_hour": 2,
                "unit": "device",
                "source": "our contract",
                "as_of": "2026-10-01",
            },
            "house": {
                "input_usd_per_mtok": 1,
                "output_usd_per_mtok": 3,
                "models": ["tiny"],
                "as_of": "2026-10-01",
            },
        }
    }
    mine = resolved("2xh100-hour", config=config)
    assert (mine.usd_per_hour, mine.source, mine.as_of) == (4, "our contract", "2026-10-01")
    house = resolved(None, config=config)
    assert (house.name, house.kind, house.source) == ("house", "token", "loadlab.toml")
    assert pricing.Meter(house).nano_usd(pricing.Use(10, 10)) == 40_000


def test_loadlab_toml_of_the_working_directory_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "loadlab.toml").write_text("[prices.mine]\nusd_per_hour = 1.5\nas_of = 2026-10-01\n")
    monkeypatch.chdir(tmp_path)
    price, _ = pricing.resolve("mine", LOCAL)
    assert price is not None
    assert (price.usd_per_hour, price.assumption) == (1.5, "1 deployment")


NOW = {"as_of": "2026-10-01"}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (3, "must be a table"),
        (NOW, "needs either"),
        ({"usd_per_hour": 1, "input_usd_per_mtok": 1, **NOW}, "needs either"),
        ({"usd_per_hour": "2", **NOW}, "not a positive number"),
        ({"usd_per_hour": 0, **NOW}, "not a positive number"),
        ({"usd_per_hour": -2.5, **NOW}, r"usd_per_hour = -2.5 is not a positive number"),
        ({"output_usd_per_mtok": -1, **NOW}, r"output_usd_per_mtok = -1 is not a positive number"),
        ({"usd_per_hour": float("nan"), **NOW}, "not a positive number"),
        ({"usd_per_hour": float("inf"), **NOW}, "not a positive number"),
        ({"usd_per_hour": True, **NOW}, "not a positive number"),
        ({"usd_per_hour": 1, "usd": 1, **NOW}, "unknown key 'usd'"),
        ({"usd_per_hour": 1, "unit": "rack", **NOW}, "unit = 'rack'"),
        ({"usd_per_hour": 1, "terms": "borrowed", **NOW}, "terms = 'borrowed'"),
        ({"usd_per_hour": 1}, "has no date; add as_of"),
        ({"usd_per_hour": 1, "as_of": "last week"}, "as_of = 'last week' is not a date"),
        ({"usd_per_hour": 1, "as_of": "2999-01-01"}, "still to come"),
        ({"usd_per_request": 1, "since": "2026-01-01", **NOW}, "first of its name"),
        ({"usd_per_request": 1, "models": "tiny", **NOW}, "not a list of names"),
        ({"cached_input_usd_per_mtok": 1, **NOW}, "without input_usd_per_mtok"),
        ({"usd_per_request": 1, "usd_per_1000_inferences": 1, **NOW}, "say the same"),
        ([{"usd_per_request": 1, **NOW}, {"usd_per_request": 2}], "number 2 must say from when"),
        ([{"usd_per_request": 1, **NOW}, {"usd_per_request": 2, "since": "soon"}], "since = 'soon'"),
        ([{"usd_per_hour": 1, **NOW}, {"usd_per_request": 2, "since": "2026-10-01"}], "per hour in one"),
        ([{"usd_per_request": 1, **NOW}, {"usd_per_hour": 2, "since": "2026-10-01"}], "by use in another"),
        ([{"usd_per_hour": 1, **NOW}, {"usd_per_hour": 2, "above_prompt_tokens": 9}], "length of a prompt"),
    ],
)
def test_a_bad_entry_names_itself_and_its_fault(entry: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        pricing.resolve("l4-hour", LOCAL, {"prices": {"mine": entry}})
    assert "[prices.mine]" in str(caught.value)


def test_of_hourly_prices_the_one_in_force_today_is_taken_with_its_day() -> None:
    first = {"usd_per_hour": 2.1, "terms": "reserved", "unit": "device", "as_of": "2026-01-01"}
    later = [{"usd_per_hour": 9.0, "since": "2999-01-01"}, {"usd_per_hour": 1.5, "since": "2026-06-01"}]
    config = {"prices": {"box": [first, {"usd_per_hour": 1.9, "since": "2026-03-01"}, *later]}}
    price = resolved("2xbox", config=config)
    assert (price.usd_per_hour, price.as_of, price.steps) == (3.0, "2026-06-01", ())
    assert price.assumption == "reserved; 2 devices"


def test_a_price_given_outright_is_of_today() -> None:
    assert resolved("2.50/h").as_of == datetime.now(UTC).date().isoformat()
