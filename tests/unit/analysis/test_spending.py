"""Money by class, at list rates and wasted on warm-up, from rows of the ledger."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from loadlab.analysis.spending import added, classes, total
from loadlab.core.money import Price, PriceStep

TOKEN = Price("p", "token", "list", "2026-11-01", input_usd_per_mtok=2.0, output_usd_per_mtok=10.0,
              cached_input_usd_per_mtok=0.5)  # fmt: skip
HOUR = Price("h", "hour", "list", "2026-11-01", usd_per_hour=3.6)


def used(**changed: Any) -> pd.DataFrame:
    """A level of 1,000,000 prompt tokens (400,000 cached) and 100,000 output tokens (25,000 reasoning)."""
    row = {"level": 0, "warmup": False, "ok": True, "requests": 10, "prompt_tokens": 1_000_000,
           "cached_tokens": 400_000, "cache_write_tokens": None, "output_tokens": 100_000,
           "reasoning_tokens": 25_000, "first_ns": 0, "last_ns": 10**10, "cost_nano_usd": 0}  # fmt: skip
    return pd.DataFrame([{**row, **changed}], dtype=object)


def test_tokens_are_told_apart_by_class_as_by_hand() -> None:
    found = classes(TOKEN, used(), 1.2 + 0.2 + 1.0)
    assert found == pytest.approx({"prompt": 1.2, "cached prompt": 0.2, "output": 0.75, "reasoning": 0.25})


def test_hours_have_one_class() -> None:
    assert classes(HOUR, used(), 7.0) == {"hardware hours": 7.0}


def test_what_rates_do_not_explain_is_not_told_apart() -> None:
    stepped = Price("p", "token", "list", "2026-11-01", steps=(PriceStep({"output_usd_per_mtok": 10.0}),))
    assert classes(stepped, used(), 1.0) == {"not told apart": 1.0}


def test_unknown_cost_has_no_class() -> None:
    assert classes(TOKEN, used(), None) == classes(None, used(), None) == {}


def rows(**columns: list[Any]) -> pd.DataFrame:
    names = ("usd", "usd_at_least", "usd_with_idle_hours", "wasted_usd", "warmup_usd", "list_usd")
    counts = ("requests", "failed", "prompt_tokens", "output_tokens", "uncounted")
    base: dict[str, list[Any]] = {**{n: [1.0, 3.0, 5.0] for n in names}, **{n: [0, 1, 2] for n in counts}}
    return pd.DataFrame({**base, "target": ["a", "b", "a"], **columns})


def test_groups_are_added_and_the_dearest_comes_first() -> None:
    found = added(rows(), "target")
    assert found["target"].tolist() == ["a", "b"]
    assert found["usd"].tolist() == [6.0, 3.0]
    assert found["runs"].tolist() == [2, 1]


def test_unpriced_run_leaves_a_least_and_no_sum() -> None:
    found = total(rows(usd=[1.0, np.nan, 5.0], usd_at_least=[1.0, np.nan, 5.0]))
    assert np.isnan(found["usd"])
    assert (found["usd_at_least"], found["unpriced"]) == (6.0, 1)


def test_answers_without_a_token_count_leave_no_price_of_a_token() -> None:
    assert total(rows())["usd_per_mtok_output"] is None
    assert total(rows(uncounted=[0, 0, 0]))["usd_per_mtok_output"] == pytest.approx(3e6)
