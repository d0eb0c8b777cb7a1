"""`[schedule.NAME]` of loadlab.toml: which command, when, and what becomes of a time that was missed.

[schedule]
timezone = "Europe/Berlin"

[schedule.nightly]
cron = "30 3 * * 1-5"
command = "gate run --report html=gate.html"
"""

from __future__ import annotations

import re
import shlex
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.units import parse_duration
from loadlab.schedule import crontab

KINDS = (
    "run", "sweep", "search", "gate run", "gate calibrate", "calibrate", "vendors run", "history check",
)  # fmt: skip
ON_TIME_S = 60.0
_WHERE = "loadlab.toml: [schedule"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,50}[a-z0-9])?")
_DEFAULTS = ("timezone", "at_once", "group")


@dataclass(frozen=True, slots=True)
class Job:
    """A planned command. Either `cron` or `every` says when; times are in seconds.

    `missed`: what becomes of times at which no scheduler ran: made up for once, if not later than `grace`, or
    skipped. `wait` is how long a busy target is waited for, `at_most` after how long the command is ended.
    """

    name: str
    command: tuple[str, ...]
    timezone: str = "UTC"
    cron: str = ""
    every: str = ""
    jitter: float = 0.0
    missed: Literal["once", "skip"] = "once"
    grace: float | None = None
    wait: float = 3600.0
    at_most: float | None = None
    targets: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What of KINDS it is."""
        return next(kind for kind in KINDS if self.command[: kind.count(" ") + 1] == tuple(kind.split()))

    @property
    def when(self) -> str:
        """The rule in words; two rules that differ have different ones."""
        rule = self.cron or f"every {self.every}"
        return f"{rule} {self.timezone}{f' +{self.jitter:g}s' if self.jitter else ''}"

    @property
    def late_s(self) -> float | None:
        """How late it may begin; None for any time."""
        return ON_TIME_S if self.missed == "skip" else self.grace


@dataclass(frozen=True, slots=True)
class Schedule:
    """Every job, how many may be under way at once, and the `group` that keeps two schedules apart."""

    jobs: tuple[Job, ...]
    at_once: int = 1
    group: str = "main"

    def job(self, name: str) -> Job:
        """The job of that name. Raises UnknownNameError."""
        if found := next((job for job in self.jobs if job.name == name), None):
            return found
        raise UnknownNameError("job", name, [job.name for job in self.jobs])


def parse(config: Mapping[str, Any]) -> Schedule:
    """The schedule of a parsed loadlab.toml. Raises UsageError, with the nearest name for an unknown one."""
    table = config.get("schedule")
    if not isinstance(table, Mapping) or not any(isinstance(each, Mapping) for each in table.values()):
        raise UsageError(
            "loadlab.toml has no table [schedule.NAME]; docs/schedule.md shows one to begin with."
        )
    for key, value in table.items():
        if not isinstance(value, Mapping) and key not in _DEFAULTS:
            raise UnknownNameError("key of [schedule] in loadlab.toml", str(key), _DEFAULTS)
    zone = _zone("]", table.get("timezone", "UTC"))
    jobs = [_job(name, each, zone) for name, each in table.items() if isinstance(each, Mapping)]
    at_once, group = table.get("at_once", 1), table.get("group", "main")
    if type(at_once) is not int or at_once < 1:
        raise UsageError(f"{_WHERE}] at_once = {at_once!r} must be a whole number of at least 1.")
    if not isinstance(group, str) or not _NAME.fullmatch(group):
        raise UsageError(f"{_WHERE}] group = {group!r} must be of small letters, digits and hyphens.")
    return Schedule(tuple(jobs), at_once, group)


_DURATIONS = ("jitter", "grace", "wait", "at_most")
_KEYS = tuple(field.name for field in fields(Job) if field.name != "name")


def _job(name: str, table: Mapping[str, Any], zone: str) -> Job:
    where = f".{name}]"
    if not _NAME.fullmatch(name):
        raise UsageError(f"{_WHERE}{where}: a job's name is of small letters, digits and hyphens.")
    for key in table:
        if key not in _KEYS:
            raise UnknownNameError(f"key of [schedule.{name}] in loadlab.toml", str(key), _KEYS)
    for key in ("cron", "every", *_DURATIONS):
        if key in table and not isinstance(table[key], str):
            raise UsageError(f"{_WHERE}{where} {key} = {table[key]!r} must be text in quotes.")
    if ("cron" in table) == ("every" in table):
        raise UsageError(f'{_WHERE}{where} needs either cron or every, such as every = "6h".')
    if table.get("missed", "once") not in ("once", "skip"):
        raise UsageError(f"{_WHERE}{where} missed = {table['missed']!r} must be once or skip.")
    given: dict[str, Any] = {key: parse_duration(table[key]) for key in _DURATIONS if key in table}
    given |= {key: table[key] for key in ("cron", "every", "missed") if key in table}
    job = Job(
        name,
        _command(where, table.get("command", "")),
        _zone(where, table.get("timezone", zone)),
        targets=_targets(where, table.get("targets", [])),
        **given,
    )
    return _sound(where, job)


def _sound(where: str, job: Job) -> Job:
    """The job again, where its times make sense. Raises UsageError."""
    if job.cron:
        crontab.parse(job.cron)
    if job.every and parse_duration(job.every) < 1:
        raise UsageError(f"{_WHERE}{where} every = '{job.every}' must be at least 1s.")
    if job.every and job.jitter >= parse_duration(job.every):
        raise UsageError(f"{_WHERE}{where} jitter must be shorter than every = '{job.every}'.")
    if job.missed == "skip" and job.grace is not None:
        raise UsageError(f'{_WHERE}{where} grace goes with missed = "once": it says how late is too late.')
    return job


def _command(where: str, given: Any) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(given)) if isinstance(given, str) else tuple(map(str, given))
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{_WHERE}{where} command = {given!r} cannot be split into words: {error}."
        ) from error
    words = words[1:] if words[:1] == ("loadlab",) else words
    if not any(words[: kind.count(" ") + 1] == tuple(kind.split()) for kind in KINDS):
        raise UsageError(
            f"{_WHERE}{where} command = '{shlex.join(words)}' must begin with one of {', '.join(KINDS)}."
        )
    return words


def _zone(where: str, name: Any) -> str:
    try:
        return zoneinfo.ZoneInfo(str(name)).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"{_WHERE}{where} timezone = {name!r} is not known here; write it like Europe/Berlin or UTC."
        ) from error


def _targets(where: str, given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise UsageError(f'{_WHERE}{where} targets must be a list of names, such as ["local"].')
    return tuple(given)
