"""Cron expressions mean what cron means by them, which is not what APScheduler's from_crontab does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from apscheduler.triggers.cron import CronTrigger

from loadlab.core.errors import UsageError
from loadlab.schedule import crontab
from loadlab.schedule.jobs import Job
from loadlab.schedule.times import Times, upcoming

NOW = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)  # a Sunday


def times(cron: str, count: int, zone: str = "UTC") -> list[str]:
    job = Job("job", ("run", "chat"), zone, cron=cron)
    return [at.strftime("%a %m-%d %H:%M") for at in upcoming(job, NOW, count)]


@pytest.mark.parametrize("day", ["0", "7", "sun", "SUN"])
def test_sunday_is_zero_and_seven(day: str) -> None:
    assert times(f"0 12 * * {day}", 2) == ["Sun 11-29 12:00", "Sun 12-06 12:00"]


@pytest.mark.parametrize(
    ("days", "found"),
    [
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri", "Mon"]),
        ("5-7", ["Sun", "Fri", "Sat", "Sun"]),
        ("fri-sun", ["Sun", "Fri", "Sat", "Sun"]),
        ("*/2", ["Sun", "Tue", "Thu", "Sat", "Sun"]),
        ("1,3", ["Mon", "Wed", "Mon"]),
    ],
)
def test_weekdays(days: str, found: list[str]) -> None:
    assert [each[:3] for each in times(f"0 12 * * {days}", len(found))] == found


def test_apscheduler_alone_would_be_a_day_late() -> None:
    """Why the numbers are never handed on: there 0 is Monday."""
    assert CronTrigger.from_crontab("0 12 * * 0", UTC).get_next_fire_time(None, NOW).strftime("%a") == "Mon"


def test_two_restricted_days_are_an_or() -> None:
    assert times("0 0 13 * 5", 4) == [
        "Fri 12-04 00:00",
        "Fri 12-11 00:00",
        "Sun 12-13 00:00",
        "Fri 12-18 00:00",
    ]


def test_other_fields() -> None:
    assert times("*/20 10-11 * * *", 5) == [
        "Sun 11-29 10:00", "Sun 11-29 10:20", "Sun 11-29 10:40", "Sun 11-29 11:00", "Sun 11-29 11:20",
    ]  # fmt: skip
    assert times("5/30 0 1 jan,Feb *", 3) == ["Fri 01-01 00:05", "Fri 01-01 00:35", "Mon 02-01 00:05"]
    assert times("@weekly", 1) == ["Sun 12-06 00:00"]


def test_summer_time_keeps_the_hour() -> None:
    job = Job("job", ("run", "chat"), "Europe/Berlin", cron="30 3 * * *")
    found = upcoming(job, datetime(2026, 3, 27, tzinfo=UTC), 4)
    assert {at.strftime("%H:%M") for at in found} == {"03:30"}
    assert [at.utcoffset() for at in found] == [timedelta(hours=hours) for hours in (1, 1, 2, 2)]


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("0 3 * *", "has 4 fields and needs 5"),
        ("60 3 * * *", "'60' is no minute; use numbers from 0 to 59"),
        ("0 3 * * mo", "'mo' is no day of week"),
        ("0 3 * * 1#2", "'1#2' is no day of week"),
        ("0 3 L * *", "'L' is no day of month"),
        ("0 9-8 * * *", "'9-8' is no hour"),
        ("0 */0 * * *", r"'\*/0' is no hour"),
        ("0 3 */2 * 1", "write the days out, such as 1-31/2"),
    ],
)
def test_what_cannot_be_is_named(cron: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        crontab.parse(cron)


def test_every_is_counted_from_a_fixed_monday() -> None:
    job = Job("job", ("run", "chat"), every="6h")
    assert [at.hour for at in upcoming(job, NOW, 3)] == [12, 18, 0]


def test_jitter_is_the_same_for_every_scheduler_and_never_skips() -> None:
    job = Job("job", ("run", "chat"), every="10m", jitter=300.0)
    found = upcoming(job, NOW, 200)
    delays = [at.timestamp() % 600 for at in found]
    assert all(0 <= delay < 300 for delay in delays)
    assert len({round(delay) for delay in delays}) > 100
    assert all(0 < (b - a).total_seconds() < 900 for a, b in pairwise(found))
    assert Times(job).get_next_fire_time(None, found[5]) == found[5]
    assert Times(job).get_next_fire_time(found[5], NOW) == found[6]
