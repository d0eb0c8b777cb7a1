"""What a level cost, worked out by hand: hours, tokens, caching, the SLO, waste, energy."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import handmade
import pytest

from loadlab.analysis import summarise
from loadlab.analysis.cost import devices_at_work, level_cost
from loadlab.analysis.repricing import priced
from loadlab.core import nouns
from loadlab.core.nouns import Level, Price, PriceStep, Terms
from loadlab.pricing import Meter, Use

NVML = ("nvml", "utilisation_percent")


def price(**changes: Any) -> Price:
    return Price("p", changes.pop("kind", "token"), "a list", "2026-11-21", **changes)


API_RATES = {"input_usd_per_mtok": 1.0, "cached_input_usd_per_mtok": 0.1, "output_usd_per_mtok": 10.0}
API = price(**API_RATES)


def cost(*rows: dict[str, Any], terms: Terms | None = None, **given: Any) -> dict[str, Any]:
    """The cost of one level; `readings`, `joule` and the fields of a stored run may be given."""
    readings, joule, routes = (given.pop(name, None) for name in ("readings", "joule", "routes"))
    stored = handmade.run(**given)
    stored.spec = replace(stored.spec, terms=terms or Terms(), routes=routes or ())
    frame = priced(handmade.requests(*rows), stored.price, 0) if stored.price else handmade.requests(*rows)
    window_s = (frame["done_ns"].max() - frame["planned_ns"].min()) / 1e9
    return level_cost(stored, frame, readings, window_s, joule)


def busy(device: str, value: float = 90.0) -> dict[str, Any]:
    return handmade.reading(NVML[1], value, device=device, source=NVML[0])


def sliced(device: str) -> dict[str, Any]:
    """A GPU in MIG mode, or a slice of it: its memory is told, its utilisation is not."""
    return handmade.reading("memory_used_bytes", 1e9, device=device, source="nvml")


def test_an_h100_at_4_29_making_2500_tokens_a_second() -> None:
    # 60 s at 2,500 tok/s = 150,000 tokens for 4.29 / 60 = 7.15 ct: 47.7 ct a million.
    h100 = price(kind="hour", usd_per_hour=4.29)
    row = handmade.request(0, ttft=0, tokens=2, itl=60_000, output_tokens=150_000, prompt_tokens=50_000)
    found = cost(row, price=h100)
    assert found["usd"] == pytest.approx(0.0715)
    assert found["usd_per_mtok_output"] == pytest.approx(0.47667, abs=1e-5)
    assert found["usd_per_mtok_blended"] == pytest.approx(0.3575)
    assert found["usd_per_mtok_weighted"] == pytest.approx(0.0715 / 162_500 * 1e6)
    assert found["basis"].endswith("× 60.0 s (a list, 2026-11-21); duty cycle 100%")


def test_a_duty_cycle_pays_for_the_idle_hours_too() -> None:
    h100 = price(kind="hour", usd_per_hour=3.6)
    row = handmade.request(0, ttft=0, tokens=2, itl=1000, output_tokens=1000)
    whole, half = cost(row, price=h100), cost(row, price=h100, terms=Terms(duty_cycle=0.5))
    assert half["usd"] == whole["usd"] == pytest.approx(0.001)
    assert half["usd_per_mtok_output"] == pytest.approx(2 * whole["usd_per_mtok_output"])
    assert "duty cycle 50%" in half["basis"]


@pytest.mark.parametrize(
    ("readings", "devices", "words"),
    [
        ((busy("gpu0"), busy("gpu1"), busy("gpu2", 0.0)), 2, "× 2 devices seen at work"),
        ((busy("gpu0", 0.0),), 1, "× 1 device (assumed: none seen at work)"),
        ((), 1, "× 1 device (assumed: none seen at work)"),
        ((busy("gpu0"), sliced("gpu1"), sliced("gpu1.mig0")), 2, "× 2 devices seen at work"),
    ],
)
def test_devices_are_counted_where_they_were_not_stated(readings: Any, devices: int, words: str) -> None:
    each = price(kind="hour", usd_per_hour=3600.0, units=None)
    row = handmade.request(0, ttft=0, tokens=2, itl=1000)
    found = cost(row, price=each, readings=handmade.readings(*readings))
    assert (found["usd"], found["devices"]) == (pytest.approx(devices), devices)
    assert words in found["basis"]


def test_a_stated_number_of_devices_is_not_overruled() -> None:
    two = price(kind="hour", usd_per_hour=7200.0, units=2)
    readings = handmade.readings(*(busy(f"gpu{at}") for at in range(8)))
    found = cost(handmade.request(0, ttft=0, tokens=2, itl=1000), price=two, readings=readings)
    assert (found["usd"], found["devices"]) == (pytest.approx(2.0), 2)
    assert devices_at_work(readings) == 8


def test_prompt_caching_shows_the_effective_price_beside_the_list_price() -> None:
    rows = [
        handmade.request(at, prompt_tokens=1000, cached_tokens=cached) for at, cached in ((0, 0), (1, 800))
    ]
    found = cost(*rows, price=API)
    # 1,200 fresh at $1 and 800 cached at $0.10, over 2,000: 64 ct a million.
    assert found["usd_per_mtok_input_list"] == 1.0
    assert found["usd_per_mtok_input_effective"] == pytest.approx(0.64)


def test_the_effective_price_of_prompts_knows_their_tiers() -> None:
    dear = PriceStep({**API_RATES, "input_usd_per_mtok": 2.0}, above_prompt_tokens=1500)
    tiered = replace(API, steps=(dear,))
    rows = [handmade.request(0, prompt_tokens=tokens, cached_tokens=500) for tokens in (1000, 2000)]
    # 500 × $1 + 500 × $0.1, and 1,500 × $2 + 500 × $0.1 in millionths: $3,600 over 3,000 tokens.
    assert cost(*rows, price=tiered)["usd_per_mtok_input_effective"] == pytest.approx(3.6 / 3)


def test_the_slo_keeps_all_the_money_and_only_some_of_the_tokens() -> None:
    rows = [handmade.request(0, ttft=50, tokens=4), handmade.request(1, ttft=900, tokens=4)]
    found = cost(*rows, price=API, terms=Terms(slo={"ttft_ms": 100.0}))
    assert found["usd_per_mtok_output_at_slo"] == pytest.approx(2 * found["usd_per_mtok_output"])
    assert found["remarks"] == ["SLO ttft_ms ≤ 100: kept by 1 of 2 answers"]


def test_an_slo_that_nobody_keeps_has_no_price() -> None:
    found = cost(handmade.request(0, ttft=50), price=API, terms=Terms(slo={"ttft_ms": 1.0, "tpot_ms": 99.0}))
    assert found["usd_per_mtok_output_at_slo"] is None
    assert "kept by 0 of 1 answers" in found["remarks"][0]


def test_waste_is_what_failures_were_billed() -> None:
    broken = handmade.failure(2, "truncated", status=200, prompt_tokens=1000, output_tokens=50)
    refused = handmade.failure(3, "http_429", status=429)
    answered = handmade.request(0, prompt_tokens=1000, output_tokens=100)
    found = cost(answered, broken, refused, price=API)
    assert found["usd"] == pytest.approx(0.002 + 0.0015)
    assert found["wasted_usd"] == pytest.approx(0.0015)
    assert found["usd_per_mtok_output"] == pytest.approx(0.0035 / 100 * 1e6)


def test_waste_by_the_hour_is_the_share_of_output_that_failed() -> None:
    rows = [
        handmade.request(0, ttft=0, tokens=2, itl=1000, output_tokens=300),
        handmade.failure(0, "truncated", status=200, output_tokens=100),
    ]
    found = cost(*rows, price=price(kind="hour", usd_per_hour=3600.0))
    assert (found["usd"], found["wasted_usd"]) == (pytest.approx(1.0), pytest.approx(0.25))


def test_warm_up_is_told_apart_and_in_no_other_figure() -> None:
    rows = [handmade.request(0, warmup=True, output_tokens=100), handmade.request(1, output_tokens=100)]
    found = cost(*rows, price=API)
    assert found["warmup_usd"] == found["usd"] == pytest.approx(0.00101)


def test_energy_in_money_and_carbon() -> None:
    terms = Terms(usd_per_kwh=0.30, pue=1.2, g_co2e_per_kwh=400.0)
    found = cost(handmade.request(), terms=terms, joule=3.6e6)
    assert found["energy_usd"] == pytest.approx(0.36)
    assert found["co2e_kg"] == pytest.approx(0.48)
    assert found["usd"] is None


def test_a_tariff_without_power_is_no_energy_cost() -> None:
    found = cost(handmade.request(), terms=Terms(usd_per_kwh=0.30))
    assert found["energy_usd"] is None
    assert found["co2e_kg"] is None
    assert "without measured power" in found["remarks"][0]


def test_a_price_that_changes_in_the_middle_of_a_run() -> None:
    noon = "1970-01-01T00:00:10+00:00"
    doubled = price(output_usd_per_mtok=10.0, steps=(PriceStep({"output_usd_per_mtok": 20.0}, noon),))
    rows = [handmade.request(at, output_tokens=1000) for at in (9_000, 9_999, 10_000, 11_000)]
    # 1 ct each before, 2 ct each from then on.
    assert cost(*rows, price=doubled)["usd"] == pytest.approx(0.06)


@pytest.mark.parametrize("seed", range(40))
def test_the_cost_of_a_level_is_the_sum_of_its_halves(seed: int) -> None:
    luck = random.Random(seed)
    rows = [
        handmade.request(at, prompt_tokens=luck.randrange(9999), output_tokens=luck.randrange(1, 9999))
        for at in range(luck.randrange(2, 30))
    ]
    half = len(rows) // 2
    whole, first, second = (cost(*part, price=API)["usd"] for part in (rows, rows[:half], rows[half:]))
    assert whole == pytest.approx(first + second, abs=1e-15)
    assert whole >= max(first, second) > 0


@pytest.mark.parametrize("seed", range(40))
def test_one_unknown_request_makes_every_figure_of_money_unknown(seed: int) -> None:
    luck = random.Random(seed)
    rows = [handmade.request(at, output_tokens=9) for at in range(luck.randrange(2, 9))]
    known = cost(*rows, price=API)
    rows[luck.randrange(len(rows))]["prompt_tokens"] = None
    found = cost(*rows, price=API)
    assert found["usd"] is None
    assert all(
        found[name] is None for name in found if name.startswith("usd_per_mtok") and "input" not in name
    )
    assert 0 < found["usd_at_least"] < known["usd"]


def test_repricing_equals_pricing_at_first() -> None:
    rows = handmade.requests(
        *(handmade.request(at, prompt_tokens=at, cached_tokens=None) for at in range(50))
    )
    again = priced(rows, API, 0)["cost_nano_usd"]
    by_hand = [Meter(API).nano_usd(Use(at, 3)) for at in range(50)]
    assert again.tolist() == by_hand


def test_the_summary_carries_it() -> None:
    requests = handmade.requests(handmade.request(0, cost_nano_usd=1))
    found = summarise(
        handmade.run(price=API), handmade.levels(Level(0, users=8)), requests, handmade.gaps(requests)
    )
    assert found.levels[0].cost["usd"] == 1e-9


def test_a_closed_loop_at_its_cap_on_the_rate_is_noted() -> None:
    requests = handmade.requests(*(handmade.request(at * 100) for at in range(20)))
    stored = handmade.run(Level(0, users=8))
    notes = {}
    for cap in (10.0, 50.0):
        stored.spec = replace(stored.spec, max_rate=cap)
        found = summarise(stored, handmade.levels(Level(0, users=8)), requests, handmade.gaps(requests))
        notes[cap] = [note for note in found.notes if "--max-rate" in note]
    assert notes == {10.0: ["held back to 10 requests per second by --max-rate: 8 users"], 50.0: []}


def routed(*places: tuple[str, Price]) -> tuple[nouns.Route, ...]:
    return tuple(nouns.Route(name, nouns.Endpoint("http://l/v1", "m", name=name), p) for name, p in places)


BOX = price(kind="hour", usd_per_hour=36.0)
SECOND: dict[str, Any] = {"ttft": 0, "tokens": 2, "itl": 1000, "prompt_tokens": 1000, "output_tokens": 100}


def test_a_duty_cycle_is_of_the_hours_in_a_mix_and_not_of_its_tokens() -> None:
    rows = [handmade.request(0, **SECOND), handmade.request(0, seq=1, **SECOND) | {"route": 1}]
    found = cost(*rows, price=API, routes=routed(("large", BOX)), terms=Terms(duty_cycle=0.5))
    # 0.2 ct by use, and 1 s at 1 ct: 1.2 ct; at half the hours 0.2 + 2 = 2.2 ct for 200 tokens.
    assert found["usd"] == pytest.approx(0.012)
    assert found["usd_per_mtok_output"] == pytest.approx(0.022 / 200 * 1e6)


def test_a_route_that_nobody_took_costs_nothing_by_use_and_its_hours_by_the_hour() -> None:
    row = handmade.request(0, **SECOND)
    by_use = cost(row, price=API, routes=routed(("large", API)))
    assert (by_use["usd"], by_use["wasted_usd"]) == (pytest.approx(0.002), 0)
    by_hour = cost(row, price=API, routes=routed(("large", BOX)))
    assert by_hour["usd"] == pytest.approx(0.012)
    assert by_hour["remarks"][1] == "route large: 0 of 1 requests, $0.0100"


def test_whose_devices_were_seen_is_not_guessed() -> None:
    device = replace(BOX, units=None)
    seen = handmade.readings(busy("gpu0"), busy("gpu1"))
    found = cost(handmade.request(0, **SECOND), price=device, routes=routed(("large", device)), readings=seen)
    assert found["usd"] is None
    assert "does not say how many of the 2 devices" in found["basis"]


def test_an_slo_on_what_no_answer_has_is_no_price() -> None:
    row = handmade.request(0, **SECOND) | {"first_token_ns": None}
    found = cost(row, price=API, terms=Terms(slo={"ttft_ms": 1.0}))
    assert found["usd_per_mtok_output_at_slo"] is None
    assert found["remarks"] == ["SLO: no answer has a ttft_ms, so what it costs at the SLO is not known"]


def test_hours_over_tokens_of_which_some_are_unknown_are_no_price() -> None:
    rows = [handmade.request(0, **SECOND), handmade.request(0, seq=1, **{**SECOND, "output_tokens": None})]
    found = cost(*rows, price=BOX)
    assert found["usd"] == pytest.approx(0.01)
    assert (found["usd_per_mtok_output"], found["usd_per_mtok_blended"]) == (None, None)
    assert found["remarks"] == ["1 of 2 answers did not report their output tokens: no cost over them"]


def test_waste_by_the_hour_without_any_tokens_is_unknown_unless_all_failed() -> None:
    silent: dict[str, Any] = {**SECOND, "output_tokens": None}
    failed = handmade.request(0, seq=1, error_kind="stalled", **silent)
    assert cost(handmade.request(0, **silent), failed, price=BOX)["wasted_usd"] is None
    assert cost(failed, price=BOX)["wasted_usd"] == pytest.approx(0.01)
