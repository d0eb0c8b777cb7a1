"""Requests read in small pieces: one page, one row, the news, the longest waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from loadlab.core.errors import NoDataError, UnknownNameError
from loadlab.core.nouns import Result, Run
from loadlab.store import Store
from loadlab.store.request_log import Filter

MS = 1_000_000


@pytest.fixture
def run_id(opened: Store, make_run: Callable[..., Run], make_result: Callable[..., Result]) -> str:
    run = make_run()
    opened.begin_run(run)
    opened.write(run.id, [make_result(seq=seq) for seq in range(5)], [])
    failed = make_result(worker=1, status=503, error_kind="http_status", first_token_ns=None)
    opened.write(run.id, [failed], [])
    return run.id


def seqs(found: Any) -> list[tuple[int, int]]:
    return [(int(worker), int(seq)) for worker, seq in zip(found["worker"], found["seq"], strict=True)]


def test_pages_are_cut_from_one_order(opened: Store, run_id: str) -> None:
    log, of = opened.request_log, Filter()
    first, total = log.page(run_id, of, "planned", descending=False, offset=0, limit=4)
    second, _ = log.page(run_id, of, "planned", descending=False, offset=4, limit=4)
    assert total == 6
    assert sorted(seqs(first) + seqs(second)) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0)]


@pytest.mark.parametrize(
    ("of", "n"),
    [
        (Filter(outcome="ok"), 5),
        (Filter(outcome="failed"), 1),
        (Filter(kind="http_status"), 1),
        (Filter(status=503), 1),
        (Filter(level=7), 0),
        (Filter(slower_than_ns=0), 5),
        (Filter(slower_than_ns=10**12), 0),
    ],
)
def test_filters(opened: Store, run_id: str, of: Filter, n: int) -> None:
    rows, total = opened.request_log.page(run_id, of, "ttft", descending=True, offset=0, limit=100)
    assert len(rows) == total == n


def test_unknown_values_come_last_both_ways(opened: Store, run_id: str) -> None:
    for descending in (True, False):
        rows, _ = opened.request_log.page(run_id, Filter(), "ttft", descending=descending, offset=0, limit=9)
        assert seqs(rows)[-1] == (1, 0)


def test_an_order_that_is_none_is_said(opened: Store, run_id: str) -> None:
    with pytest.raises(UnknownNameError, match="order 'size'"):
        opened.request_log.page(run_id, Filter(), "size", descending=False, offset=0, limit=1)


def test_one_request_or_none(opened: Store, run_id: str) -> None:
    assert opened.request_log.one(run_id, 1, 0)["status"] == 503
    with pytest.raises(NoDataError, match="no request 3-9"):
        opened.request_log.one(run_id, 3, 9)


def test_outcomes_count_everything(opened: Store, run_id: str) -> None:
    found = opened.request_log.outcomes(run_id)
    assert int(found["n"].sum()) == 6
    assert int(found[found["error_kind"] == "http_status"]["n"].sum()) == 1


def test_news_are_what_was_not_seen(opened: Store, run_id: str) -> None:
    log = opened.request_log
    assert len(log.news(run_id, {}).requests) == 6
    news = log.news(run_id, {0: 2})
    assert seqs(news.requests) == [(0, 3), (0, 4), (1, 0)]
    assert news.counts.sum() == news.gaps_ms.size
    assert log.news(run_id, {0: 4, 1: 0}).requests.empty


def test_the_longest_wait_is_found_with_its_instant(
    opened: Store, make_run: Callable[..., Run], make_result: Callable[..., Result]
) -> None:
    run = make_run(id="stalled")
    opened.begin_run(run)
    start = make_result(seq=0).sent_ns
    assert start is not None
    at = [start + 50 * MS, start + 60 * MS, start + 400 * MS, start + 410 * MS]
    opened.write(run.id, [make_result(seq=0, arrivals_ns=at)], [])
    found = opened.request_log.stalls(run.id, 100.0, 5)
    assert list(found["waited_ms"]) == [340.0]
    assert int(found["at_ns"].iloc[0]) == at[1] - run.clock_ns
