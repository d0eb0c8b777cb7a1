"""Jobs as a crontab, and as services and timers of systemd."""

from __future__ import annotations

import shlex

from loadlab.schedule.crontab import Cron
from loadlab.schedule.emit import Place, canonical, comments, cron_of, head, said
from loadlab.schedule.jobs import Job, Schedule

_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def cron(schedule: Schedule, place: Place) -> dict[str, str]:
    """One crontab; its folder holds loadlab.toml."""
    about = [
        "Written by `loadlab schedule emit cron`; install with `crontab loadlab.crontab`.",
        "CRON_TZ is read by cronie; Debian's cron knows only the time zone of the machine.",
        "Cron makes up for no missed time and has no jitter; `loadlab schedule run` does both.",
    ]
    lines = [comments(about), "SHELL=/bin/sh\n"]
    return {"loadlab.crontab": "".join([*lines, *(_line(job, place) for job in schedule.jobs)])}


def _line(job: Job, place: Place) -> str:
    command = f"cd {shlex.quote(place.folder)} && {place.program} schedule trigger {job.name}"
    # To cron a percent sign is the end of the line.
    command = command.replace("%", "\\%")
    return f"\n# {said(job)}\nCRON_TZ={job.timezone}\n{canonical(cron_of(job))} {command}\n"


def systemd(schedule: Schedule, place: Place) -> dict[str, str]:
    """A service and a timer for each job."""
    return {
        f"loadlab-{job.name}.{kind}": render
        for job in schedule.jobs
        for kind, render in (("service", _service(job, place)), ("timer", _timer(job)))
    }


def _service(job: Job, place: Place) -> str:
    limit = "infinity" if job.at_most is None else f"{job.at_most + job.wait + 60:.0f}s"
    return (
        f"{comments(head(job))}\n[Unit]\nDescription=loadlab job {job.name}\nAfter=network-online.target\n"
        "Wants=network-online.target\n\n[Service]\nType=oneshot\n"
        f"User={place.user}\nWorkingDirectory={place.folder.replace('%', '%%')}\n"
        "# Keys and LOADLAB_DB: NAME=value lines in a file that only root reads.\n"
        "EnvironmentFile=-/etc/loadlab/environment\n"
        f"ExecStart={place.program.replace('%', '%%').replace('$', '$$')} schedule trigger {job.name}\n"
        "# One SIGINT lets a measurement drain and save.\n"
        f"KillSignal=SIGINT\nKillMode=mixed\nTimeoutStartSec={limit}\nTimeoutStopSec=150s\n"
    )


def _timer(job: Job) -> str:
    times = "".join(f"OnCalendar={each}\n" for each in on_calendar(cron_of(job), job.timezone))
    jitter = f"RandomizedDelaySec={job.jitter:g}s\n" if job.jitter else ""
    return (
        f"{comments(head(job))}\n[Unit]\nDescription=times of loadlab job {job.name}\n\n[Timer]\n{times}"
        f"AccuracySec=1s\n{jitter}Persistent={'true' if job.missed == 'once' else 'false'}\n"
        "\n[Install]\nWantedBy=timers.target\n"
    )


def on_calendar(read: Cron, timezone: str) -> list[str]:
    """The expression in systemd's words, where both days must fit: so two lines for cron's "or"."""
    clock = f"{_numbers(read.hours)}:{_numbers(read.minutes)}:00 {timezone}"
    names = "" if read.weekdays is None else f"{','.join(_DAYS[day] for day in read.weekdays)} "
    date = f"*-{_numbers(read.months)}-{_numbers(read.days)}"
    if read.either_day:
        return [f"{date} {clock}", f"{names}*-{_numbers(read.months)}-* {clock}"]
    return [f"{names}{date} {clock}"]


def _numbers(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(f"{value:02}" for value in values)
