"""One run, written by several hosts or gathered from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from loadlab import store
from loadlab.core.errors import StoreError
from loadlab.core.nouns import Level, Reading, Result, Run
from loadlab.store import SharedStore, Store, take_over

MS = 1_000_000


def test_a_host_writes_rows_by_its_own_clock_and_nothing_else(
    opened: Store, make_run: Callable[..., Run], make_result: Callable[..., Result]
) -> None:
    run = make_run()
    opened.begin_run(run)
    before = opened.run(run.id)
    shared = SharedStore.of(opened)
    shared.begin_run(make_run(clock_ns=run.clock_ns - 10 * MS))
    shared.begin_level(run.id, Level(0, users=2, requests=4), run.clock_ns)
    shared.write(run.id, [make_result(3)], [Reading(run.clock_ns, "host", "b", "load_1m", 1.0)])
    shared.heartbeat(run.id)
    shared.finish_level(run.id, 0, run.clock_ns)
    shared.finish_run(run.id, "interrupted", ["no"])
    assert opened.requests(run.id).planned_ns.tolist() == [13 * MS]
    assert opened.readings(run.id).at_ns.tolist() == [10 * MS]
    assert opened.levels(run.id).empty
    assert opened.run(run.id) == before


def test_a_host_notices_that_it_has_another_database(opened: Store, make_run: Callable[..., Run]) -> None:
    with pytest.raises(StoreError, match="write to one database"):
        SharedStore.of(opened).begin_run(make_run())


def test_rows_are_taken_over_once_and_whole(
    opened: Store, tmp_path: Path, make_run: Callable[..., Run], make_result: Callable[..., Result]
) -> None:
    run = make_run()
    opened.begin_run(run)
    opened.write(run.id, [make_result(0)], [])
    with store.open(f"sqlite:///{tmp_path}/theirs.db") as theirs:
        theirs.begin_run(run)
        rows = [make_result(seq, worker=1) for seq in range(2500)]
        theirs.write(run.id, rows, [Reading(run.clock_ns, "host", "b", "load_1m", 1.0)])
        assert take_over(theirs, opened, run.id) == 2500
        assert opened.requests(run.id).worker.value_counts().to_dict() == {1: 2500, 0: 1}
        assert opened.arrivals(run.id, 1, 7) == theirs.arrivals(run.id, 1, 7)
        assert len(opened.readings(run.id)) == 1
        with pytest.raises(StoreError):
            take_over(theirs, opened, run.id)
    assert len(opened.readings(run.id)) == 1
