from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from loadlab import store
from loadlab.core.errors import NoDataError, StoreError
from loadlab.core.nouns import Reading, Result, Run
from loadlab.store import Store, schema
from loadlab.store.url import parse

CLOCK_NS, MS = 5_000_000_000_000, 1_000_000  # as in conftest.py

MakeRun, MakeResult = Callable[..., Run], Callable[..., Result]


def test_a_run_comes_back_as_it_was_asked(opened: Store, make_run: MakeRun) -> None:
    run = make_run()
    opened.begin_run(run)
    stored = opened.run("run-a")
    assert stored.spec == run
    assert stored.price == run.price
    assert stored.environment == {"python": "3.11", "cpus": 2}
    assert (stored.state, stored.verdict, stored.finished_at_ns) == ("running", None, None)


def test_an_unpriced_run_says_why_and_its_price_is_null(opened: Store, make_run: MakeRun) -> None:
    opened.begin_run(make_run(price=None, unpriced="unpriced: no price named"))
    assert opened.run("latest").price is None
    assert opened.run("latest").unpriced == "unpriced: no price named"
    assert opened.runs()["price"].tolist() == [None]


def test_every_field_of_a_result_is_stored_with_times_from_the_anchor(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    opened.write("run-a", [make_result(3, cached_tokens=5, cost_nano_usd=1200)], [])
    (row,) = opened.requests("run-a").to_dict("records")
    assert row["planned_ns"] == 3 * MS
    assert row["sent_ns"] == 3 * MS + 100
    assert row["first_token_ns"] == row["first_answer_ns"] == 53 * MS
    assert row["last_token_ns"] == 83 * MS
    assert row["done_ns"] == 83 * MS + 1
    assert (row["connect_ns"], row["first_byte_ns"], row["first_event_ns"]) == (30, 4 * MS, 5 * MS)
    assert (row["status"], row["finish_reason"], row["count_source"]) == (200, "stop", "usage")
    assert (row["prompt_tokens"], row["cached_tokens"], row["output_tokens"]) == (12, 5, 4)
    assert (row["reused"], row["warmup"], row["chunks"], row["cost_nano_usd"]) == (True, False, 4, 1200)


def test_the_unknown_is_null_and_never_zero(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    times = ("sent_ns", "first_byte_ns", "first_event_ns", "first_token_ns", "first_answer_ns", "done_ns")
    others = ("last_token_ns", "status", "prompt_tokens", "output_tokens", "count_source", "finish_reason")
    nothing = dict.fromkeys((*times, *others))
    opened.begin_run(make_run())
    broken = make_result(0, **nothing, error_kind="connect", error_detail="refused", chunks=0, arrivals_ns=[])
    opened.write("run-a", [broken], [])
    row = opened.requests("run-a").iloc[0]
    assert row[list(nothing)].isna().all()
    assert (row["error_kind"], row["error_detail"]) == ("connect", "refused")
    assert opened.arrivals("run-a", 0, 0) == []


def test_dtypes_do_not_depend_on_what_is_stored(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    empty = opened.requests("run-a")
    opened.write("run-a", [make_result(0)], [Reading(CLOCK_NS, "host", "cpu", "utilisation", 3.0)])
    full = opened.requests("run-a")
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert {name: str(full[name].dtype) for name in ("planned_ns", "sent_ns", "warmup", "prompt_tokens")} == {
        "planned_ns": "int64",
        "sent_ns": "float64",
        "warmup": "bool",
        "prompt_tokens": "float64",
    }


def test_gaps_carry_their_request_and_arrivals_their_times(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    good = make_result(0, gaps_ms=(1.0, 2.5))
    early = make_result(1, gaps_ms=(4.0,), warmup=True)
    broken = make_result(2, gaps_ms=(8.0,), error_kind="timeout", level=1)
    opened.write("run-a", [broken, good, early], [])
    gaps = opened.gaps("run-a")
    assert gaps.to_dict("list") == {
        "level": [0, 0, 0, 1],
        "warmup": [False, False, True, False],
        "ok": [True, True, True, False],
        "itl_ms": [1.0, 2.5, 4.0, 8.0],
    }
    assert opened.gaps("run-a", level=1)["itl_ms"].tolist() == [8.0]
    assert opened.gaps("run-b").dtypes.to_dict() == gaps.dtypes.to_dict()
    times = opened.arrivals("run-a", 0, 0)
    assert times == pytest.approx([ns - CLOCK_NS for ns in good.arrivals_ns], abs=500)


def test_requests_of_one_level_only(opened: Store, make_run: MakeRun, make_result: MakeResult) -> None:
    opened.begin_run(make_run())
    opened.write("run-a", [make_result(0), make_result(1, level=1), make_result(2)], [])
    assert opened.requests("run-a", level=1)["seq"].tolist() == [1]
    assert opened.requests("run-a")["seq"].tolist() == [0, 1, 2]


def test_levels_begin_and_finish(opened: Store, make_run: MakeRun) -> None:
    run = make_run()
    opened.begin_run(run)
    opened.begin_level("run-a", run.levels[0], CLOCK_NS + 5)
    opened.begin_level("run-a", run.levels[1], CLOCK_NS + 20)
    opened.finish_level("run-a", 0, CLOCK_NS + 15)
    levels = opened.levels("run-a")
    assert levels["started_ns"].tolist() == [5, 20]
    assert levels["finished_ns"].fillna(-1).tolist() == [15, -1]
    assert levels["users"].fillna(-1).tolist() == [2, -1]
    assert levels["rate"].fillna(-1).tolist() == [-1, 5.0]
    assert levels["arrivals"].tolist() == ["closed", "poisson"]


def test_another_process_may_finish_what_this_one_began(
    database_url: str, opened: Store, make_run: MakeRun
) -> None:
    run = make_run()
    opened.begin_run(run)
    opened.begin_level("run-a", run.levels[0], CLOCK_NS + 5)
    with store.open(database_url) as other:
        other.finish_level("run-a", 0, CLOCK_NS + 25)
        other.set_verdict("run-a", "SUSPECT", ["the generator was late"])
        other.finish_run("run-a", "finished", ["a note"])
    assert opened.levels("run-a")["finished_ns"].tolist() == [25]
    stored = opened.run("latest")
    assert (stored.state, stored.verdict) == ("finished", "SUSPECT")
    assert (stored.reasons, stored.notes) == (["the generator was late"], ["a note"])
    assert abs(time.time_ns() - (stored.finished_at_ns or 0)) < 60e9


def test_readings_without_a_number_are_left_out(opened: Store, make_run: MakeRun) -> None:
    opened.begin_run(make_run())
    values = (1.5, math.nan, math.inf, 2.0)
    opened.write("run-a", [], [Reading(CLOCK_NS + 9, "nvml", "gpu0", "power_w", value) for value in values])
    readings = opened.readings("run-a")
    assert readings["value"].tolist() == [1.5, 2.0]
    assert readings.iloc[0][["at_ns", "source", "device", "metric"]].tolist() == [
        9,
        "nvml",
        "gpu0",
        "power_w",
    ]


def test_what_a_hostile_server_says_is_stored_as_far_as_it_can_be(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    hostile = make_result(
        0, finish_reason="x" * 500, error_detail="a\0b\ud800", prompt_tokens=10**18, output_tokens=4
    )
    opened.write("run-a", [hostile], [])
    row = opened.requests("run-a").iloc[0]
    assert row["finish_reason"] == "x" * 40
    assert row["error_detail"] == "ab?"
    assert math.isnan(row["prompt_tokens"])
    assert row["output_tokens"] == 4


def test_a_batch_is_written_whole_or_not_at_all(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    opened.write("run-a", [make_result(0)], [])
    with pytest.raises(StoreError):
        opened.write("run-a", [make_result(1), make_result(0)], [])
    assert opened.requests("run-a")["seq"].tolist() == [0]


def test_runs_are_listed_newest_first_with_their_counts(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    first, second = make_run(), make_run(id="run-b", started_at_ns=make_run().started_at_ns + 1)
    for run in (first, second):
        opened.begin_run(run)
    opened.begin_level("run-a", first.levels[0], CLOCK_NS)
    opened.write("run-a", [make_result(0), make_result(1, error_kind="http", status=500)], [])
    runs = opened.runs()
    assert runs["id"].tolist() == ["run-b", "run-a"]
    assert runs["n_levels"].tolist() == [0, 1]
    assert runs["n_requests"].tolist() == [0, 2]
    assert runs["n_failed"].tolist() == [0, 1]
    assert not {"spec", "environment"} & set(runs.columns)
    assert opened.runs(limit=1)["id"].tolist() == ["run-b"]


def test_a_run_whose_recorder_fell_silent_reads_as_interrupted(
    opened: Store, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened.begin_run(make_run())
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now + 11_000_000_000)
    assert opened.run("run-a").state == "interrupted"
    assert opened.runs()["state"].tolist() == ["interrupted"]
    opened.heartbeat("run-a")
    assert opened.run("run-a").state == "running"


def test_a_run_is_found_by_id_unique_prefix_or_latest(opened: Store, make_run: MakeRun) -> None:
    for number, name in enumerate(("abc1", "abd2", "ab")):
        opened.begin_run(make_run(id=name, started_at_ns=1000 + number))
    assert opened.run("abc").id == "abc1"
    assert opened.run("ab").id == "ab"
    assert opened.run("latest").id == "ab"
    with pytest.raises(NoDataError, match=r"'a' is ambiguous.*ab"):
        opened.run("a")
    for wrong in ("zz", "", "a%", "ab_"):
        with pytest.raises(NoDataError):
            opened.run(wrong)


def test_latest_of_an_empty_store_says_what_to_do(opened: Store) -> None:
    with pytest.raises(NoDataError, match="loadlab run"):
        opened.run("latest")
    assert opened.runs().empty


def test_a_run_written_by_a_newer_loadlab_is_named(
    database_url: str, opened: Store, make_run: MakeRun
) -> None:
    opened.begin_run(make_run())
    database = sa.create_engine(parse(database_url))
    with database.begin() as connection:
        spec = {**connection.execute(sa.select(schema.run.c.spec)).scalar_one(), "gears": 5}
        connection.execute(schema.run.update().values(spec=spec))
    database.dispose()
    with pytest.raises(StoreError, match=r"run-a was written by another version.*gears"):
        opened.run("run-a")


def test_one_thread_may_write_while_others_read(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(opened.write, "run-a", [make_result(seq)], []) for seq in range(20)]
        reads = [pool.submit(opened.requests, "run-a") for _ in range(20)]
        assert [write.result() for write in writes] == [None] * 20
        assert all(len(read.result()) <= 20 for read in reads)
    assert len(opened.requests("run-a")) == 20


def test_updating_a_run_that_is_not_there_is_an_error(opened: Store) -> None:
    with pytest.raises(NoDataError):
        opened.heartbeat("nobody")


def test_info_counts_rows_and_bytes(opened: Store, make_run: MakeRun, make_result: MakeResult) -> None:
    opened.begin_run(make_run())
    opened.write("run-a", [make_result(0), make_result(1, arrivals_ns=[])], [])
    info = opened.info()
    assert set(info["counts"]) == set(schema.metadata.tables)
    assert {name: n for name, n in info["counts"].items() if n} == {"run": 1, "request": 2, "arrivals": 1}
    assert info["revision"] == info["head"]
    assert info["size_bytes"] > 1000
