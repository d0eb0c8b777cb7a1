"""The capacity page as a function of its URL, on a real SQLite store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashboard_data as made
import pytest
from plotly.utils import PlotlyJSONEncoder

import loadlab.store
from dashboard.app import render
from dashboard.planning import Choice
from dashboard.source import Source
from loadlab.core.errors import UsageError

SWEEP, SINGLE, FAILED = "20261121-091502-a1b2", "20261118-1-one", "20261117-120100-fa11"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    url = f"sqlite:///{tmp_path_factory.mktemp('capacity')}/runs.db"
    with loadlab.store.open(url) as opened:
        made.fill(
            opened,
            made.sweep(SWEEP),
            made.sweep(SINGLE, users=(8,), age_s=120),
            made.sweep(FAILED, users=(4,), failing=1.0, age_s=180),
        )
        yield Source(opened)


def at(source: Source, search: str = "", theme: str = "light") -> str:
    shown: Any = render(source, {"path": "/capacity", "search": search, "theme": theme})
    return json.dumps(shown, cls=PlotlyJSONEncoder, ensure_ascii=False)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_sweep_is_answered_first_in_words(source: Source, theme: str) -> None:
    page = at(source, "?peak=40&unit=req/s&api=openai/gpt-5-mini", theme)
    assert "10 replicas" in page
    assert "up to 40 req/s" in page
    for name in ("replicas", "requirement", "day", "levers", "even"):
        assert f'"figure-{name}"' in page
    assert "example shape" in page
    assert "loadlab sweep chat" in page


def test_one_run_with_one_level_works(source: Source) -> None:
    page = at(source, f"?runs={SINGLE}&peak=40")
    assert "one load was measured" in page
    assert '"figure-requirement"' in page


def test_a_run_of_failures_is_refused_with_a_command(source: Source) -> None:
    page = at(source, f"?runs={FAILED}")
    assert "does not hold the SLO" in page
    assert "--users 1,2" in page
    assert "figure-" not in page


def test_an_slo_that_is_not_held_or_not_known_is_said_on_the_page(source: Source) -> None:
    assert "does not hold the SLO at the lightest" in at(source, "?slo=ttft_ms.p95=10")
    assert "SLO 'chats' is not known" in at(source, "?slo=chats")
    assert "headroom" in at(source, "?headroom=100")


def test_an_empty_store_says_which_command_fills_it(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as opened:
        assert "loadlab sweep chat" in at(Source(opened))


def test_a_day_of_ones_own_takes_the_place_of_the_peak(source: Source) -> None:
    page = at(source, "?day=" + ",".join(["2"] * 12 + ["20"] * 12))
    assert "example shape" not in page
    assert "busiest of 24 parts of the day" in page


def test_the_url_is_the_state_both_ways() -> None:
    choice = Choice(
        ("a", "b"), 40.0, "users", "chat", 30.0, 2, 10.0, "2.50/h", "openai/gpt-5-mini", 8, 2, "1m", "1,2"
    )  # fmt: skip
    query = dict(
        part.split("=", 1) for part in choice.search.removeprefix("?").replace("%2F", "/").split("&")
    )
    assert Choice.read(query) == choice
    assert Choice().search == ""
    assert Choice.read({}) == Choice()


def test_controls_change_the_choice() -> None:
    controls = {
        "peak": "", "unit": "req/s", "slo": "chat", "headroom": "", "spare": 2, "growth": 10, "price": "",
        "api": "", "node": "", "gpus": 4, "cold": "1m", "day": "",
    }  # fmt: skip
    found = Choice(("a",), 40.0).changed(["a"], **controls)
    assert (found.peak, found.headroom, found.spare, found.gpus, found.day) == (None, 0.0, 2, 4, "none")


@pytest.mark.parametrize("query", [{"peak": "many"}, {"spare": "1.5"}, {"node": "x"}])
def test_a_number_that_is_none_is_said(query: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        Choice.read(query)


def test_a_sweep_is_read_once(source: Source, tmp_path: Path) -> None:
    assert source.measured([SWEEP]) is source.measured([SWEEP[:12]])
