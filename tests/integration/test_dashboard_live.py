"""A run followed while it lasts: by its records as they come, and in a browser beside a real run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import dashboard_data as made
import pytest

import loadlab.store
from dashboard import follow
from dashboard.app import render
from dashboard.pages.live import news
from dashboard.source import Source
from loadlab.core.nouns import Reading
from loadlab.figures import LIGHT
from loadlab.store import Store

RUN = "20261129-live-0001"
STATE = {"run": RUN, "window": "", "gpu": False, "width": 1, "first": 0, "next": 0, "most": 600}


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with loadlab.store.open(sqlite_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def every_look_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "READ_EVERY_S", 0.0)


def begin(store: Store, **options: Any) -> made.Made:
    """A run that has begun and of which nothing is written yet."""
    run = made.sweep(RUN, users=(16,), requests=200, **options)
    store.begin_run(run.run)
    store.begin_level(RUN, run.run.levels[0], run.ends_ns[0][0])
    return run


def page(source: Source, path: str, search: str = "") -> str:
    drawn = render(source, {"path": path, "search": search, "theme": "light"})
    return json.dumps(drawn, default=lambda value: value.to_plotly_json())


def test_everything_is_counted_once_whatever_the_order_it_comes_in(store: Store) -> None:
    run = begin(store, failing=0.1)
    follower = follow.Follower(store, RUN)
    by_end = sorted(run.results, key=lambda result: result.done_ns or 0)  # numbers out of order, as in life
    for start in range(0, len(by_end), 30):
        store.write(RUN, by_end[start : start + 30], run.readings if start == 0 else [])
        follower.look()
        follower.look()
    failed = [result for result in run.results if result.error_kind]
    assert follower.ended == len(run.results)
    assert follower.failed == sum(group.n for group in follower.failures.values()) == len(failed)
    seconds = follower._seconds.values()
    assert sum(each.tokens for each in seconds) == sum(result.output_tokens or 0 for result in run.results)
    assert sum(len(each.ttft_ms) for each in seconds) == len(run.results) - len(failed)


def test_a_run_long_under_way_is_caught_up_with_in_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "AT_MOST", 50)
    run = begin(store)
    store.write(RUN, run.results, [])
    follower = follow.Follower(store, RUN)
    follower.look()
    assert (follower.behind, follower.ended) == (True, 50)
    for _ in range(6):
        follower.look()
    assert (follower.behind, follower.ended) == (False, len(run.results))


def test_a_number_that_never_comes_holds_nothing_up() -> None:
    worker = follow.Worker()
    worker.saw([0, 1, *range(3, 3 + 2 * follow.UNSEEN)])
    assert worker.floor == 2 + 2 * follow.UNSEEN
    assert worker.above == set()


def test_bins_do_not_change_once_they_are_given(store: Store) -> None:
    run = begin(store)
    follower = follow.Follower(store, RUN)
    by_end = sorted(run.results, key=lambda result: result.done_ns or 0)
    store.write(RUN, by_end[:100], [])
    follower.look()
    before = follower.bins(1, 0)
    store.write(RUN, by_end[100:], [])
    follower.look()
    assert follower.bins(1, 0).head(len(before)).equals(before)
    assert len(before) > 3
    assert before["itl_p95"].max() > before["itl_p50"].max() > 0


def test_ticks_send_only_what_is_new(store: Store) -> None:
    run = begin(store)
    by_end = sorted(run.results, key=lambda result: result.done_ns or 0)
    store.write(RUN, by_end[:120], run.readings)
    source = Source(store)
    extend, figure, *_, state, ends = news(source, STATE, LIGHT)
    assert len(extend[0]["y"]) == 8
    assert type(figure).__name__ == type(ends).__name__ == "NoUpdate"
    assert state["next"] == state["first"] + len(extend[0]["x"][0])
    again = news(source, state, LIGHT)
    assert type(again[0]).__name__ == "NoUpdate"
    assert len(json.dumps(extend)) < 20_000


def test_of_a_long_run_the_bins_grow(store: Store) -> None:
    begin(store)
    store.write(
        RUN, [], [Reading(made.CLOCK_NS + at * made.NS, "host", "h", "cpu_percent", 1.0) for at in (1, 1500)]
    )
    _, figure, *_, state, _ = news(Source(store), STATE, LIGHT)
    assert state["width"] == 4
    assert len(figure.data[0].x) <= 600


def test_the_strip_and_the_warning_of_a_client_at_its_limit(store: Store) -> None:
    run = begin(store, failing=0.2)
    busy = Reading(run.ends_ns[0][1], "generator", "worker0", "cpu_percent", 97.0)
    store.write(RUN, run.results, [*run.readings, busy])
    text = page(Source(store), "/live")
    for words in ("Client saturated", "97.0 %", "16 users", "level 1 of 1", "by the hour", "queue is full"):
        assert words in text
    assert "GPU busy" not in text


@pytest.mark.parametrize("window", ["60", "300", "nonsense"])
def test_windows(store: Store, window: str) -> None:
    run = begin(store)
    store.write(RUN, run.results, [])
    assert "figure-live" in page(Source(store), f"/live/{RUN}", f"?window={window}")


def test_nothing_under_way_says_what_to_start(store: Store) -> None:
    assert "No run is under way" in page(Source(store), "/live")
    made.fill(store, dataclasses.replace(made.sweep("20261121-over", users=(2,), requests=3)))
    text = page(Source(store), "/live")
    assert "/run/20261121-over" in text
    assert "is over (finished)" in page(Source(store), "/live/20261121-over")


def test_when_the_run_ends_the_page_stops_asking(store: Store) -> None:
    run = begin(store)
    store.write(RUN, run.results, [])
    store.finish_run(RUN, "finished")
    *_, ends = news(Source(store), STATE, LIGHT)
    assert ends == 0
