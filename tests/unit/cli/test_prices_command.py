"""`loadlab prices`: list, set and check, on files of a real folder."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from loadlab import pricing
from loadlab.cli.prices import app
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, PriceStep
from loadlab.pricing import Meter, Use
from loadlab.pricing.own import FILE

TODAY = datetime.now(UTC).date().isoformat()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prices(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str) -> str:
    failure = prices(*arguments).exception
    assert isinstance(failure, UsageError), failure
    return str(failure)


def document(*arguments: str) -> Any:
    done = prices(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_the_list_has_hardware_and_with_words_vendors_too() -> None:
    names = {price["name"] for price in document("list")["prices"]}
    assert {"cpu-hour", "h100-hour", "tpu-v5e-spot-hour", "inf2-hour", "trn1-hour"} <= names
    found = document("list", "gpt-5-mini")["prices"]
    assert {price["name"]: price["input_usd_per_mtok"] for price in found}["openai/gpt-5-mini"] == 0.25
    assert "no price has 'zzz'" in refused("list", "zzz")


def test_the_list_in_words_shows_rates_source_and_day() -> None:
    line = next(line for line in prices("list", "h100").stdout.splitlines() if line.startswith("h100-hour"))
    assert "$6.88/h" in line
    assert line.endswith("2026-09-24)")


def test_a_price_put_down_is_used_at_once(folder: Path) -> None:
    said = prices("set", "our-model", "--input", "0.2", "--output", "0.8", "--source", 'offer "31"')
    assert said.stdout.startswith("our-model  $0.200/Mtok in, $0.800/Mtok out")
    assert str(folder / FILE) in said.stderr
    price, _ = pricing.resolve(None, Endpoint("http://h/v1", "our-model"))
    assert price is not None
    assert (price.source, price.as_of) == ('offer "31"', TODAY)
    assert Meter(price).nano_usd(Use(10**6, 10**6)) == 10**9


def test_a_later_price_of_the_name_begins_when_it_says_and_the_old_one_is_kept(folder: Path) -> None:
    prices("set", "our-model", "--input", "0.2", "--output", "0.8", "--as-of", "2026-10-01")
    before = (folder / FILE).read_text()
    assert "has a price 'our-model' already; say --since" in refused("set", "our-model", "--input", "1")
    prices("set", "our-model", "--input", "0.1", "--output", "0.4", "--since", "2026-12-01")
    assert (folder / FILE).read_text().startswith(before)
    price, _ = pricing.resolve(None, Endpoint("http://h/v1", "our-model"))
    assert price is not None
    rates = {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.4}
    assert price.steps == (PriceStep(rates, "2026-12-01T00:00:00+00:00"),)


def test_hardware_audio_requests_models_and_hosts_can_be_put_down() -> None:
    prices("set", "our-h100", "--hour", "2.1", "--unit", "device", "--terms", "reserved")
    prices("set", "heard", "--audio-second", "0.0001", "--model", "whisper", "--host", "speech.example.com")
    prices("set", "classified", "--per-1000", "0.4")
    four, _ = pricing.resolve("4xour-h100", Endpoint("http://h/v1", "m"))
    assert four is not None
    assert (four.usd_per_hour, four.assumption) == (8.4, "reserved; 4 devices")
    heard, _ = pricing.resolve(None, Endpoint("https://speech.example.com/v1", "whisper"))
    assert heard is not None
    assert heard.name == "heard"
    assert pricing.resolve(None, Endpoint("http://elsewhere/v1", "whisper"))[0] is None
    classified, _ = pricing.resolve(None, Endpoint("http://h/v1", "classified"))
    assert classified is not None
    assert Meter(classified).nano_usd(Use()) == 400_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x",), "needs either usd_per_hour or rates by use"),
        (("x", "--input", "-1"), "input_usd_per_mtok = -1.0 is not a positive number"),
        (("x", "--hour", "nan"), "usd_per_hour = nan is not a positive number"),
        (("x", "--input", "1", "--as-of", "yesterday"), "as_of = 'yesterday' is not a date"),
        (("x", "--input", "1", "--since", "2026-12-01"), "is the first of its name"),
        (("x", "--hour", "1", "--unit", "rack"), "unit = 'rack'"),
        (("x", "--hour", "1", "--output", "1"), "needs either"),
    ],
)
def test_a_bad_price_leaves_the_file_alone(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    prices("set", "sound", "--input", "1")
    before = (folder / FILE).read_text()
    assert words in refused("set", *arguments)
    assert (folder / FILE).read_text() == before


def test_an_hourly_price_changes_by_the_same_command(folder: Path) -> None:
    for flags in (("--hour", "2", "--as-of", "2026-01-01"), ("--hour", "1.5", "--since", "2026-06-01")):
        done = prices("set", "box", *flags)
        assert done.exit_code == 0, done.exception
    assert done.stdout.startswith("box  $1.50/h (loadlab.prices.toml, 2026-06-01)")


def test_a_price_of_loadlab_toml_is_changed_there(folder: Path) -> None:
    (folder / "loadlab.toml").write_text('[prices.mine]\nusd_per_hour = 1\nas_of = "2026-10-01"\n')
    assert "change it there" in refused("set", "mine", "--hour", "2")


def test_loadlab_toml_wins_over_the_file_of_the_command(folder: Path) -> None:
    prices("set", "mine", "--hour", "2")
    (folder / "loadlab.toml").write_text('[prices.mine]\nusd_per_hour = 1\nas_of = "2026-10-01"\n')
    price, _ = pricing.resolve("mine", Endpoint("http://h/v1", "m"))
    assert price is not None
    assert price.usd_per_hour == 1


def test_check_shows_the_price_of_every_target_and_old_ones(folder: Path) -> None:
    (folder / "loadlab.toml").write_text(
        '[targets.rented]\nurl = "http://gpu:8000/v1"\nmodel = "m"\nprice = "old"\n'
        '[targets.free]\nurl = "http://gpu:8000/v1"\nmodel = "m"\n'
        '[targets.vendor]\nurl = "https://api.openai.com/v1"\nmodel = "gpt-5-mini"\n'
        '[prices.old]\nusd_per_hour = 1\nas_of = "2024-01-01"\n'
    )
    lines = dict(line.split(": ", 1) for line in prices("check").stdout.splitlines())
    assert "days old: look it up again" in lines["rented"]
    assert lines["free"].startswith("unpriced: no price is named and none is known for model 'm' at gpu")
    assert lines["vendor"].startswith("openai/gpt-5-mini $0.250/Mtok in")
    targets = document("check")["targets"]
    assert [target["price"] is None for target in targets] == [False, True, False]


def test_check_of_one_endpoint_and_of_nothing() -> None:
    assert "gpt-99" in prices("check", "--url", "https://api.openai.com/v1", "--model", "gpt-99").stdout
    assert "no target" in prices("check").stdout


def test_a_broken_file_is_named(folder: Path) -> None:
    (folder / FILE).write_text('[[prices."x"]]\ninput_usd_per_mtok = 1\n')
    assert f"{FILE}: [prices.x] has no date" in refused("check")
    (folder / FILE).write_text("[[prices")
    assert "is not valid TOML" in refused("check")
