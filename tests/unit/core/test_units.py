import pytest

from loadlab.core.errors import UsageError
from loadlab.core.units import number, parse_duration, usd


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2m", 120), ("1m30s", 90), ("250ms", 0.25), ("1h", 3600), ("7", 7), ("0.5s", 0.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5x", "-3s", "1s2", "m1"])
def test_bad_durations_are_shown(text: str) -> None:
    with pytest.raises(UsageError, match=f"'{text}'"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (1234567, "1,234,567"),
        (12.345, "12.3"),
        (0.0012345, "0.00123"),
    ],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "unpriced"), (0.0, "$0.00"), (12.3, "$12.30"), (0.012345, "$0.0123")]
)
def test_money(value: float | None, text: str) -> None:
    assert usd(value) == text
