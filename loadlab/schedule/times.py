"""When a job comes next, by APScheduler's triggers. In scope: rules to instants; nothing waits in here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.combining import OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from loadlab.core.units import parse_duration
from loadlab.schedule import crontab
from loadlab.schedule.jobs import Job

_MONDAY = (2026, 1, 5)


class Times(BaseTrigger):  # type: ignore[misc]
    """The times of a job; every scheduler that asks gets the same ones.

    Each lies on the rule's grid, later by a share of the jitter drawn from the job's name and the time.
    """

    def __init__(self, job: Job) -> None:
        self._name, self._jitter = job.name, job.jitter
        self._grid = _grid(job)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after the previous one; without one, the first that is not before `now`."""
        after = previous_fire_time or now
        for at in self._planned(after - timedelta(seconds=self._jitter)):
            if at > after or (previous_fire_time is None and at == now):
                return at
        return None

    def _planned(self, since: datetime) -> Iterator[datetime]:
        while (at := self._grid.get_next_fire_time(None, since)) is not None:
            yield at + timedelta(seconds=round(self._delay_s(at), 3))  # as exact as the store keeps it
            since = at + timedelta(seconds=1)

    def _delay_s(self, at: datetime) -> float:
        drawn = hashlib.sha256(f"{self._name} {at.timestamp()}".encode()).digest()
        return self._jitter * int.from_bytes(drawn[:6]) / 256**6


def upcoming(job: Job, now: datetime, count: int) -> list[datetime]:
    """The next so many times, in the job's time zone."""
    return list(islice(_after(job, now), count))


def _after(job: Job, now: datetime) -> Iterator[datetime]:
    times, at = Times(job), None
    while (at := times.get_next_fire_time(at, now)) is not None:
        yield at.astimezone(ZoneInfo(job.timezone))


def _grid(job: Job) -> BaseTrigger:
    zone = ZoneInfo(job.timezone)
    if job.every:
        # Counted from a fixed Monday, so that a restart does not move it.
        start = datetime(*_MONDAY, tzinfo=zone)
        return IntervalTrigger(seconds=parse_duration(job.every), start_date=start, timezone=zone)
    read = crontab.parse(job.cron)
    day = {"day": _list(read.days)}
    # APScheduler counts weekdays from Monday and wants both days to fit; cron counts from Sunday and takes
    # either.
    weekday = {"day_of_week": "*" if read.weekdays is None else _names(read.weekdays)}
    rest = {"minute": _list(read.minutes), "hour": _list(read.hours), "month": _list(read.months)}
    if read.either_day:
        return OrTrigger([CronTrigger(timezone=zone, **rest, **each) for each in (day, weekday)])
    return CronTrigger(timezone=zone, **rest, **day, **weekday)


def _list(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(map(str, values))


def _names(weekdays: tuple[int, ...]) -> str:
    return ",".join(crontab.WEEKDAYS[day] for day in weekdays)
