"""The same jobs for other schedulers, as complete files.

Hosts and Kubernetes run `loadlab schedule trigger NAME`, which keeps locks, log and alerts; runners of a CI
system run the command itself. What a scheduler cannot say is an error, or a comment in the file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.core.finder import find
from loadlab.core.units import parse_duration
from loadlab.schedule import crontab
from loadlab.schedule.crontab import Cron
from loadlab.schedule.jobs import Job, Schedule

KINDS = {
    "cron": "loadlab.schedule.emit_host:cron",
    "systemd": "loadlab.schedule.emit_host:systemd",
    "k8s": "loadlab.schedule.emit_k8s:render",
    "github": "loadlab.schedule.emit_ci:github",
    "gitlab": "loadlab.schedule.emit_ci:gitlab",
}
_HOUR, _DAY = 3600, 86400


@dataclass(frozen=True, slots=True)
class Place:
    """Where the jobs will run: the folder of loadlab.toml, its text, it parsed; as whom, by what program."""

    folder: str
    user: str
    program: str
    image: str
    toml: str
    config: Mapping[str, Any]


def render(kind: str, schedule: Schedule, place: Place) -> dict[str, str]:
    """The files by name. Raises UnknownNameError, or UsageError for what that scheduler cannot do."""
    files: dict[str, str] = find("schedules", "scheduler", kind, KINDS)(schedule, place)
    return files


def cron_of(job: Job) -> Cron:
    """When the job runs as a cron expression. Raises UsageError for an `every` that no expression says."""
    if job.cron:
        return crontab.parse(job.cron)
    seconds = parse_duration(job.every)
    for unit, whole, text in ((60, _HOUR, "*/{} * * * *"), (_HOUR, _DAY, "0 */{} * * *")):
        count = seconds / unit
        if count.is_integer() and whole % seconds == 0:
            return crontab.parse(text.format(int(count)) if seconds < whole else _once(whole))
    raise UsageError(
        f"[schedule.{job.name}] every = '{job.every}' divides neither an hour nor a day, so cron cannot say "
        'it; give cron = "…" instead.'
    )


def _once(whole: int) -> str:
    return "0 * * * *" if whole == _HOUR else "0 0 * * *"


def canonical(cron: Cron) -> str:
    """The expression in numbers that every cron program reads alike: Sunday is 0, no names, no macro."""
    fields = (cron.minutes, cron.hours, cron.days, cron.months, cron.weekdays)
    return " ".join("*" if values is None else ",".join(map(str, values)) for values in fields)


def secrets(job: Job, config: Mapping[str, Any]) -> list[str]:
    """The environment variables that the job may need: what targets, profiles, alerts and flags name."""
    from loadlab.schedule.occupied import values

    tables = [table for room in ("targets", "profiles", "alerts") for table in _tables(config.get(room))]
    named = {str(value) for table in tables for key, value in table.items() if key.endswith("_env")}
    named |= {value for flag in ("--api-key-env", "--gpu-token-env") for value in values(job.command, flag)}
    return sorted({*named, *(["LOADLAB_DB"] if not config.get("store", {}).get("url") else [])})


def _tables(room: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(room, Mapping):
        yield from (table for table in room.values() if isinstance(table, Mapping))


def comments(lines: Iterable[str]) -> str:
    """Lines for people, each after a #."""
    return "".join(f"# {line}\n" for line in lines)


def head(job: Job) -> list[str]:
    """What every file begins with."""
    return [
        f"Written by `loadlab schedule emit` from [schedule.{job.name}] of loadlab.toml: {job.when}",
        said(job),
    ]


def said(job: Job) -> str:
    """The command, for people."""
    return f"loadlab {shlex.join(job.command)}".replace("\n", " ")
