"""APScheduler's SQL job store in this database. It keeps of a job its name, its rule and its next time.

What a job is comes from loadlab.toml alone. APScheduler would store it as a pickle, and whoever can write to
the database could have a scheduler execute anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from apscheduler.job import Job
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.util import datetime_to_utc_timestamp, utc_timestamp_to_datetime

from loadlab.store import engine
from loadlab.store.store import Store


@dataclass(frozen=True, slots=True)
class Planned:
    """When a job is due; `rule` says the trigger in words."""

    trigger: Any
    rule: str


class JobTimes(SQLAlchemyJobStore):  # type: ignore[misc]
    """The next times of the jobs of a group. Other groups in the same table are not seen."""

    def __init__(self, store: Store, group: str, planned: Mapping[str, Planned]) -> None:
        super().__init__(engine=store._database, tablename="schedule_job")
        self._group, self._planned = f"{group}/", planned

    def start(self, scheduler: Any, alias: str) -> None:
        """Brings the table in line with what is planned: an unchanged rule keeps its next time."""
        self._scheduler, self._alias = scheduler, alias
        known = {name: rule for name, _, rule in self._rows()}
        for name in known.keys() - self._planned.keys():
            self.remove_job(name)
        for name, planned in self._planned.items():
            at = planned.trigger.get_next_fire_time(None, datetime.now(UTC))
            if known.get(name) == planned.rule:
                continue
            self.update_job(self._job(name, at)) if name in known else self.add_job(self._job(name, at))

    def next_times(self) -> dict[str, datetime]:
        """The next time of each job."""
        return {name: at for name, at, _ in self._rows()}

    def shutdown(self) -> None:
        """Left to the store, whose connections these are."""

    def add_job(self, job: Job) -> None:
        """Stores the next time of a job. One that another scheduler has just stored is left alone."""
        with engine.one_line_errors(self.engine.url), self.engine.begin() as connection:
            where = self.jobs_t.c.id == self._group + job.id
            if not connection.execute(sa.select(self.jobs_t.c.id).where(where)).first():
                connection.execute(self.jobs_t.insert().values(id=self._group + job.id, **self._values(job)))

    def update_job(self, job: Job) -> None:
        """Stores the next time of a job."""
        where = self.jobs_t.c.id == self._group + job.id
        with engine.one_line_errors(self.engine.url), self.engine.begin() as connection:
            connection.execute(self.jobs_t.update().values(**self._values(job)).where(where))

    def remove_job(self, job_id: str) -> None:
        """Forgets a job."""
        with engine.one_line_errors(self.engine.url), self.engine.begin() as connection:
            connection.execute(self.jobs_t.delete().where(self.jobs_t.c.id == self._group + job_id))

    def lookup_job(self, job_id: str) -> Job | None:
        """The job of that name, or None."""
        return next((job for job in self.get_all_jobs() if job.id == job_id), None)

    def get_next_run_time(self) -> datetime | None:
        """The first time of any job."""
        return min(self.next_times().values(), default=None)

    def _get_jobs(self, *conditions: Any) -> list[Job]:
        found = self._rows(*conditions)
        return [self._job(name, at) for name, at, _ in found if name in self._planned]

    def _rows(self, *conditions: Any) -> list[tuple[str, datetime, str]]:
        columns, mine = self.jobs_t.c, self.jobs_t.c.id.startswith(self._group, autoescape=True)
        query = sa.select(columns.id, columns.next_run_time, columns.job_state)
        query = query.where(mine, *conditions).order_by(columns.next_run_time)
        with engine.one_line_errors(self.engine.url), self.engine.begin() as connection:
            rows = connection.execute(query).all()
        return [
            (row[0].removeprefix(self._group), utc_timestamp_to_datetime(row[1]), bytes(row[2]).decode())
            for row in rows
        ]

    def _job(self, name: str, at: datetime) -> Job:
        planned = self._planned[name]
        job = Job(
            self._scheduler, id=name, name=name, func=_nothing, trigger=planned.trigger, args=(), kwargs={},
            executor="default", misfire_grace_time=None, coalesce=False, max_instances=1, next_run_time=at,
        )  # fmt: skip
        job._jobstore_alias = self._alias
        return job

    def _values(self, job: Job) -> dict[str, Any]:
        at = datetime_to_utc_timestamp(job.next_run_time)
        return {"next_run_time": at, "job_state": self._planned[job.id].rule.encode()}


def _nothing() -> None:
    """What a job does is its executor's business; APScheduler wants a function all the same."""
