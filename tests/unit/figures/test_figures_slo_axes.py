"""Limits, and the words and scales of axes."""

from __future__ import annotations

import math

import pytest
from curve_frames import curve

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.figures.axes import axis, bounds, quantity, scale
from loadlab.figures.slo import Limit, failures, parse, write


def test_limits_survive_writing_and_reading() -> None:
    text = "ttft_ms_p95:500,interactivity_tok_s:20"
    assert write(parse(text)) == text


def test_bare_number_limits_ttft() -> None:
    assert parse("250") == (Limit("ttft_ms_p95", 250.0),)


@pytest.mark.parametrize(
    "text", ["abc", "ttft_ms_p95:", "ttft_ms_p95:0", "ttft_ms_p95:-5", "ttft_ms_p95:nan"]
)
def test_limit_that_is_no_number_above_zero_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="ttft_ms_p95:500"):
        parse(text)


def test_limit_on_an_unknown_column_is_refused() -> None:
    with pytest.raises(UnknownNameError):
        parse("ttfb_ms_p95:500")


def test_direction_comes_from_the_registry() -> None:
    assert Limit("interactivity_tok_s", 20).words == "pace per user ≥ 20.0 tok/s"
    assert Limit("interactivity_tok_s", 20).met(25)
    assert not Limit("ttft_ms_p95", 500).met(501)
    assert not Limit("ttft_ms_p95", 500).met(math.nan)


def test_level_fails_for_latency_errors_and_verdict() -> None:
    level = {"ttft_ms_p95": math.nan, "error_rate": 12.0, "verdict": "INVALID"}
    assert failures(level, [Limit("ttft_ms_p95", 500)]) == [
        "no TTFT p95 measured",
        "12.0 % errors",
        "measurement INVALID",
    ]


def test_good_level_has_no_failure() -> None:
    assert failures(curve().iloc[2].to_dict(), [Limit("ttft_ms_p95", 500)]) == []


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (412.3, "ms", "412 ms"),
        (12_345.0, "ms", "12.3 s"),
        (0.0879, "USD/Mtok", "$0.0879/Mtok"),
        (12.0, "USD", "$12.00"),
        (5.6, "1/s", "5.60/s"),
        (None, "ms", "–"),
        (math.nan, "USD/Mtok", "–"),
    ],
)
def test_quantities_have_three_digits_and_a_unit(value: float | None, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_axis_title_of_a_rate_says_higher_is_better() -> None:
    assert axis("requests_per_s").title == "Requests (1/s), higher is better"
    assert axis("users").title == "Concurrent users"


def test_scale_starts_at_zero_until_it_spans_a_decade() -> None:
    narrow = scale([20.0, 100.0])
    assert (narrow["type"], narrow["range"]) == ("linear", [0, pytest.approx(115)])
    wide = scale([20.0, 2_000.0])
    assert wide["type"] == "log"
    assert wide["ticktext"] == ["20", "50", "100", "200", "500", "1,000", "2,000"]
    assert bounds(wide) == (pytest.approx(20 / 1.5), pytest.approx(3_000))


def test_scale_of_nothing_known_is_drawable() -> None:
    assert scale([math.nan])["range"] == [0, 1.15]
