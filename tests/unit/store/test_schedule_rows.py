"""Planned times, locks and next times in the store, on both backends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.triggers.interval import IntervalTrigger

from loadlab import store
from loadlab.core.nouns import Run
from loadlab.store import Store, schedule_log, schema
from loadlab.store.job_times import JobTimes, Planned
from loadlab.store.schedule_log import Entry, ScheduleLog
from loadlab.store.url import parse


def entry(**changes: object) -> Entry:
    return Entry(**{"job": "nightly", "planned_at_ns": 5, "command": ("run", "chat"), **changes})  # type: ignore[arg-type]


def test_a_planned_time_is_had_once(opened: Store, database_url: str) -> None:
    """Eight schedulers, each with a connection of its own, want the same time."""

    def want(_: int) -> int | None:
        with store.open(database_url) as own:
            return ScheduleLog(own).book(entry())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(want, range(8)))
    assert sum(each is not None for each in found) == 1
    log = ScheduleLog(opened)
    assert log.book(entry(attempt=2)) is not None
    assert log.book(entry(job_group="other")) is not None


def test_an_entry_comes_back_as_it_was_noted(opened: Store) -> None:
    log = ScheduleLog(opened)
    first = log.book(entry())
    assert first is not None
    log.note(first, state="running", child_pid=7, started_at_ns=9)
    assert [each.id for each in log.unfinished("main")] == [first]
    log.note(first, state="ended", exit_code=3, told="x" * 9999, reason="because\0")
    (found,) = log.entries(job="nightly")
    assert (found.state, found.exit_code, found.child_pid, found.command) == ("ended", 3, 7, ("run", "chat"))
    assert (len(found.told), found.reason) == (4000, "because")
    assert log.unfinished("main") == []


def test_an_abandoned_entry_is_settled_once(opened: Store) -> None:
    log = ScheduleLog(opened)
    first = log.book(entry())
    assert first is not None
    log.take(first, ["x"])
    (seen,) = log.unfinished("main")
    assert log.settle(seen, state="ended", reason="gone", run_id="run-a")
    assert not log.settle(seen, state="lost", reason="gone")  # another scheduler, a moment later
    (found,) = log.entries()
    assert (found.state, found.run_id, log.holders()) == ("ended", "run-a", {})


def test_a_target_is_one_entrys_at_a_time(opened: Store) -> None:
    log = ScheduleLog(opened)
    a, b = log.book(entry(host="here")), log.book(entry(attempt=2))
    assert a is not None
    assert b is not None
    assert log.take(a, ["x", "y"]) is None
    assert log.take(a, ["x"]) is None  # again is no harm
    assert log.take(b, ["z", "y"]) == f"y is in use by job nightly on here (log {a})"
    assert log.holders() == {"x": a, "y": a}  # all or nothing: z was not taken
    log.release(a)
    assert log.take(b, ["z", "y"]) is None


def test_a_lease_that_ran_out_is_nobodys(opened: Store, database_url: str) -> None:
    log = ScheduleLog(opened)
    a, b = log.book(entry()), log.book(entry(attempt=2))
    assert a is not None
    assert b is not None
    assert log.take(a, ["x"]) is None
    database = sa.create_engine(parse(database_url))
    with database.begin() as connection:
        connection.execute(schema.target_lock.update().values(lease_until_ns=time.time_ns() - 1))
    database.dispose()
    assert log.holders() == {}
    assert [each.id for each in log.last_holders(b, ["x"])] == [a]  # whose command may still be under way
    assert log.take(b, ["x"]) is None
    assert log.last_holders(b, ["x"]) == []
    log.seen(a)  # too late
    assert log.holders() == {"x": b}


def test_a_run_from_elsewhere_is_seen_while_its_heart_beats(
    opened: Store, make_run: Callable[..., Run]
) -> None:
    log = ScheduleLog(opened)
    opened.begin_run(make_run(started_at_ns=time.time_ns()))
    opened.heartbeat("run-a")
    assert log.measured(["http://127.0.0.1:1/v1"]) == "run-a"
    assert log.measured(["http://127.0.0.1:2/v1"]) is None
    opened.finish_run("run-a", "finished")
    assert log.measured(["http://127.0.0.1:1/v1"]) is None


def test_next_times_survive_and_follow_the_rule(opened: Store, database_url: str) -> None:
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    hourly = Planned(IntervalTrigger(hours=1, start_date=long_ago, timezone=UTC), "every 1h")
    scheduler = BlockingScheduler(timezone=UTC)

    def started(group: str, **planned: Planned) -> JobTimes:
        times = JobTimes(opened, group, planned)
        times.start(scheduler, "default")
        return times

    times = started("a", x=hourly, y=hourly)
    other = started("b", x=hourly)
    (job, _) = times.get_all_jobs()
    job._modify(next_run_time=long_ago)
    times.update_job(job)
    now = datetime.now(UTC)
    assert [due.id for due in times.get_due_jobs(now)] == ["x"]
    assert other.get_due_jobs(now) == []
    # A restart keeps the missed time, forgets what is not planned, and plans anew what has another rule.
    again = started("a", x=hourly)
    assert again.next_times() == {"x": long_ago}
    assert again.get_next_run_time() == long_ago
    moved = started("a", x=Planned(hourly.trigger, "every 60m"))
    assert now < moved.next_times()["x"] <= now + timedelta(hours=1, minutes=1)
    assert moved.lookup_job("y") is None
    assert other.next_times().keys() == {"x"}
    database = sa.create_engine(parse(database_url))
    with database.begin() as connection:
        states = connection.execute(sa.select(schema.schedule_job.c.job_state)).scalars().all()
    database.dispose()
    assert {bytes(state) for state in states} == {b"every 60m", b"every 1h"}  # no pickle


def test_silence_is_told_by_the_lease() -> None:
    assert not entry().silent
    assert entry(seen_at_ns=time.time_ns() - schedule_log.LEASE_NS - 10**9).silent
