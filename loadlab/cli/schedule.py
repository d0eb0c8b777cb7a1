"""`loadlab schedule`: commands at planned times, what came of them, and the same for other schedulers."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, NoDataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadlab.schedule.child import Stop
    from loadlab.schedule.jobs import Job, Schedule
    from loadlab.store.schedule_log import Entry

app = typer.Typer(no_args_is_help=True, help="Run [schedule.NAME] of loadlab.toml at their times.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A job: the NAME of [schedule.NAME].")]


@app.command("run")
def run(db: options.Db = None, json: options.Json = False) -> None:
    """Carry out every job at its times, until Ctrl-C.

    Times that were missed while no scheduler ran are made up for once. One Ctrl-C lets what is under way
    drain and save, two cut it short; exit code 130 when something was under way.
    """
    from loadlab import store
    from loadlab.alerts import channels
    from loadlab.alerts.poster import Poster
    from loadlab.schedule.scheduler import Scheduler
    from loadlab.store.schedule_log import ScheduleLog

    configuration = config.load()
    schedule, place = _checked(configuration), config.store_url(db)
    about = channels.parse(configuration)
    with store.open(place) as database:
        began = _newest_id(ScheduleLog(database))
        for line in _coming(schedule, 1):
            say(line)
        with Poster(database, about, os.environ, say) as poster:
            scheduler = Scheduler(schedule, database, place, configuration, say, poster.nudge)
            scheduler.run()
        done = [each for each in ScheduleLog(database).entries(limit=1000) if each.id > began]
    say(f"stopped; {len(done)} entries in the log")
    if json:
        emit_json({"log": [_document(entry) for entry in done]})
    if scheduler.cut_short:
        raise typer.Exit(ExitCode.INTERRUPTED)


@app.command("list")
def list_jobs(db: options.Db = None, json: options.Json = False) -> None:
    """List the jobs: when, what, the next time, and how it went last."""
    schedule = _checked(config.load())
    last = _last(schedule, db)
    rows: list[dict[str, Any]] = [
        {
            "name": job.name, "when": job.when, "command": list(job.command), "missed": job.missed,
            "targets": list(_targets(job)), "next": _next(job), "last": last.get(job.name),
        }
        for job in schedule.jobs
    ]  # fmt: skip
    if json:
        emit_json({"group": schedule.group, "at_once": schedule.at_once, "jobs": rows})
        return
    for row in rows:
        typer.echo(f"{row['name']}: {row['when']}\n  loadlab {' '.join(row['command'])}")
        typer.echo(f"  occupies {', '.join(row['targets'])}\n  next {row['next']}, last {_went(row['last'])}")


@app.command("next")
def next_times(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="So many times.")] = 10,
    json: options.Json = False,
) -> None:
    """Show the next times of all jobs, the soonest first."""
    schedule = _checked(config.load())
    coming = _times(schedule, count)
    if json:
        emit_json({"next": [{"at": at.isoformat(), "job": job.name} for at, job in coming]})
        return
    for at, job in coming:
        typer.echo(f"{at.isoformat(sep=' ', timespec='seconds')}  {job.name}")


@app.command("log")
def log(
    job: Annotated[str | None, typer.Option(help="Only of this job.", metavar="NAME")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Show what schedulers did, newest first: planned, begun, ended, how, and why not."""
    from loadlab import store
    from loadlab.store.schedule_log import ScheduleLog

    with store.open(config.store_url(db), create=False) as database:
        entries = ScheduleLog(database).entries(job=job, limit=limit)
        if not entries:
            raise NoDataError(f"no scheduler wrote anything into {database.info()['url']} yet.")
    if json:
        emit_json({"log": [_document(entry) for entry in entries]})
        return
    for entry in entries:
        typer.echo(_line(_document(entry)))


@app.command("trigger")
def trigger(name: Name, db: options.Db = None, json: options.Json = False) -> None:
    """Carry out one job now, as the scheduler would; leaves with the exit code of its command."""
    import time

    from loadlab import store
    from loadlab.alerts import channels
    from loadlab.alerts.poster import Poster
    from loadlab.schedule.child import Stop
    from loadlab.schedule.work import Work
    from loadlab.store.schedule_log import Entry, ScheduleLog

    configuration = config.load()
    schedule, place = _checked(configuration), config.store_url(db)
    job, stop, about = schedule.job(name), Stop(), channels.parse(configuration)
    with store.open(place) as database, _signals(stop), Poster(database, about, os.environ, say):
        entries = ScheduleLog(database)
        entry = entries.book(
            Entry(job.name, time.time_ns(), job.command, schedule.group, cause="hand")
        )  # fmt: skip
        assert entry is not None
        code = Work(entries, place, configuration, stop, say).carry_out(job, entry)
        (found,) = [each for each in entries.entries(job=name) if each.id == entry]
    if json:
        emit_json({"entry": _document(found)})
    elif found.told:
        say(found.told)
    raise typer.Exit(ExitCode.INTERRUPTED if stop.asked else ExitCode.UNTRUSTED if code is None else code)


@app.command("emit")
def emit(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="cron, systemd, k8s, github or gitlab.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the files into this folder.", metavar="DIR")
    ] = None,
    image: Annotated[str, typer.Option(help="Container image for k8s.")] = "loadlab",
    json: options.Json = False,
) -> None:
    """Write the jobs for another scheduler: complete files, on stdout or into a folder."""
    import getpass
    import shutil
    import sys

    from loadlab.schedule.emit import Place, render

    configuration, folder = config.load(), config.folder()
    schedule = _checked(configuration)
    program = shutil.which("loadlab") or f"{sys.executable} -m loadlab"
    text = (folder / "loadlab.toml").read_text(encoding="utf-8")
    place = Place(str(folder), getpass.getuser(), program, image, text, configuration)
    files = render(kind, schedule, place)
    if json:
        emit_json({"files": files})
    elif output is not None:
        _write(output, files)
    else:
        typer.echo("\n".join(f"# ---- {name}\n{body}" for name, body in files.items()), nl=False)


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, body in files.items():
        place = folder / name
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(body, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write '{place}': {error.strerror}. Choose another place.") from error
        say(f"wrote {place}")


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the command, not us."""

    def on(number: int, frame: Any) -> None:
        stop.asked += 1

    previous = [(number, signal.signal(number, on)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in previous:
            signal.signal(number, handler)


def _checked(configuration: Any) -> Schedule:
    """The schedule, each command of which is one that the program accepts. Raises UsageError."""
    from loadlab.schedule import jobs

    schedule = jobs.parse(configuration)
    for job in schedule.jobs:
        _accept(job)
    return schedule


def _accept(job: Job) -> None:
    import typer.main

    from loadlab.cli.app import app as whole

    command: Any = typer.main.get_command(whole)
    words = list(job.command)
    try:
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        command.make_context("loadlab", words)
    except KeyError as error:
        raise UsageError(f"loadlab.toml: [schedule.{job.name}]: this loadlab has no verb {error}.") from error
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        raise UsageError(
            f"loadlab.toml: [schedule.{job.name}] command: {error.format_message()} "
            f"`loadlab {job.kind} --help` shows what there is."
        ) from error


def _targets(job: Job) -> tuple[str, ...]:
    from loadlab.schedule import occupied

    return occupied.targets(job, config.load())


def _times(schedule: Schedule, count: int) -> list[tuple[datetime, Job]]:
    from loadlab.schedule.times import upcoming

    now = datetime.now(UTC)
    return sorted(
        ((at, job) for job in schedule.jobs for at in upcoming(job, now, count)), key=lambda each: each[0]
    )[:count]


def _next(job: Job) -> str | None:
    from loadlab.schedule.times import upcoming

    return next((at.isoformat(timespec="seconds") for at in upcoming(job, datetime.now(UTC), 1)), None)


def _coming(schedule: Schedule, count: int) -> Iterator[str]:
    for job in schedule.jobs:
        yield f"{job.name}: {job.when}, next {_next(job)}"


def _last(schedule: Schedule, db: str | None) -> dict[str, dict[str, Any]]:
    """Each job's newest entry; none of a database that is not there yet."""
    from loadlab import store
    from loadlab.store.schedule_log import ScheduleLog

    try:
        with store.open(config.store_url(db), create=False) as database:
            entries = ScheduleLog(database)
            newest = [entries.entries(job=job.name, group=schedule.group, limit=1) for job in schedule.jobs]
    except NoDataError:
        return {}
    return {found[0].job: _document(found[0]) for found in newest if found}


def _newest_id(entries: Any) -> int:
    return max((each.id for each in entries.entries(limit=1)), default=0)


def _document(entry: Entry) -> dict[str, Any]:
    """Plain values; times are ISO 8601 in UTC."""
    at = {name: _iso(getattr(entry, f"{name}_ns")) for name in ("planned_at", "started_at", "ended_at")}
    return {
        "id": entry.id, "job": entry.job, "group": entry.job_group, "state": entry.state,
        "cause": entry.cause, "attempt": entry.attempt, **at, "exit_code": entry.exit_code,
        "run": entry.run_id,
        "gate": entry.gate_id, "command": list(entry.command), "reason": entry.reason, "told": entry.told,
        "host": entry.host,
    }  # fmt: skip


def _iso(at_ns: int | None) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // 10**9, UTC).isoformat()


def _went(row: dict[str, Any] | None) -> str:
    if row is None:
        return "never"
    return f"{row['state']}" + ("" if row["exit_code"] is None else f" with exit code {row['exit_code']}")


def _line(row: dict[str, Any]) -> str:
    """An entry for people: one line, and what is worth knowing below it."""
    head = f"{row['id']}  {row['planned_at']}  {row['job']}  {_went(row)}"
    told = row["told"].splitlines()[-1:] if row["exit_code"] else []
    below = [row["reason"], *(row[kind] for kind in ("run", "gate")), *told]
    return "\n    ".join([head, *(text for text in below if text)])
