"""Loads as people write them."""

from __future__ import annotations

import pytest

from loadlab.core import loads
from loadlab.core.errors import UsageError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("4", [4]),
        ("1,2,4,8", [1, 2, 4, 8]),
        ("1..5", [1, 2, 3, 4, 5]),
        ("10..100:30", [10, 40, 70, 100]),
        ("10..100:40", [10, 50, 90]),
        ("1..128:x2", [1, 2, 4, 8, 16, 32, 64, 128]),
        ("1..100:x10", [1, 10, 100]),
        ("1..64/4", [1, 4, 16, 64]),
        ("1..10/6", [1, 2, 3, 4, 6, 10]),
        ("1,2,8..32:x2", [1, 2, 8, 16, 32]),
        ("8,4,2", [8, 4, 2]),
    ],
)
def test_users(text: str, meant: list[int]) -> None:
    assert loads.parse("users", text, whole=True) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2.5", [2.5]),
        ("0.1..0.5:0.1", [0.1, 0.2, 0.3, 0.4, 0.5]),
        ("0.5..4:x2", [0.5, 1, 2, 4]),
        ("1..100/3", [1, 10, 100]),
    ],
)
def test_rates_are_those_that_were_written(text: str, meant: list[float]) -> None:
    assert loads.parse("rate", text) == meant


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no load"),
        ("1,two", "--users 'two' is no load; write loads like 1,2,4"),
        ("1-8", "is no load"),
        ("8..1", "goes down; write 1..8"),
        ("1..8:0", "goes nowhere"),
        ("1..8:x1", "goes nowhere"),
        ("0..8:x2", "goes nowhere"),
        ("1..5000", "asks for 5,000 levels; at most 100"),
        ("1..64/1", "2 to 100"),
        ("1..64/2.5", "2 to 100"),
        ("1.5", "1.5 must be a whole number"),
        ("1..3:0.5", "1.5 must be a whole number"),
        ("4,1..8", "has 4 twice; --repeat 2"),
    ],
)
def test_what_is_no_load_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        loads.parse("users", text, whole=True)
