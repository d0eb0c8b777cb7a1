"""`loadlab calibrate`: how wrong this client is on this machine, against a server of known timing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, InterruptedRunError, UsageError
from loadlab.core.units import parse_duration

if TYPE_CHECKING:
    from loadlab.analysis.accuracy import Calibration
    from loadlab.core.nouns import Run

QUICK = "1,10,50,100,200"
FULL = "1,10,50,100,200,300,500,1000"


def calibrate(
    streams: Annotated[
        str | None, typer.Option(help=f"Streams at once, one level each. Default: {QUICK}.")
    ] = None,
    rates: Annotated[str, typer.Option(help="Tokens per second of each stream.")] = "100",
    duration: Annotated[str, typer.Option(help="How long each level runs.")] = "10s",
    full: Annotated[bool, typer.Option("--full", help=f"Streams {FULL}: some two minutes.")] = False,
    processes: options.Processes = 1,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Measure the client's own error on this machine.

    Drives the bundled simulated server by real runs, compares both sides and stores the difference: each run
    then states its expected error. Takes about a minute; the machine should be quiet.
    """
    from loadlab.reports import calibration as report

    if streams and full:
        raise UsageError("--streams and --full exclude each other: each says which levels there are.")
    load = [
        (count, rate) for rate in _positive("rates", rates, float)
        for count in _positive("streams", streams or (FULL if full else QUICK), int)
    ]  # fmt: skip
    if (seconds := parse_duration(duration)) <= 0:
        raise UsageError(f"--duration {duration} asks for nothing; it must be more than 0.")
    place = config.store_url(db)
    say(f"{len(load)} levels of {duration}; server and client share this machine: leave it alone meanwhile")
    done = [_level(*each, seconds, processes, place) for each in load]
    if json:
        emit_json(report.document(done))
    else:
        typer.echo(report.render(done), nl=False)
    if any(each.trouble for each in done):
        raise typer.Exit(ExitCode.UNTRUSTED)


def _positive(name: str, text: str, kind: type) -> list[Any]:
    """The numbers of a list such as 1,10,100. Raises UsageError."""
    try:
        numbers = [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--{name} '{text}' is not a list of numbers; write it like 1,10,100.") from error
    if bad := [value for value in numbers if value <= 0]:
        raise UsageError(f"--{name} {bad[0]:g} is no load; it must be more than 0.")
    return numbers


def _level(streams: int, rate: float, duration_s: float, processes: int, place: str) -> Calibration:
    """One load: a server of that pace, a run against it, and the difference."""
    from loadlab.cli.progress import Show
    from loadlab.drive import calibration
    from loadlab.drive.lifecycle import Supervisor

    with calibration.known_server(rate) as server:
        run = calibration.run_of(server, streams, rate, duration_s, processes)
        with Show(run) as show:
            outcome = Supervisor(run, place, show.update).execute()
        if outcome.interrupted:
            why = "; ".join(outcome.notes)
            raise InterruptedRunError(
                f"calibration stopped at {streams} streams ({why}); levels before are kept."
            )
        return _compare(run, server.ledger(run.clock_ns), rate, place)


def _compare(run: Run, ledger: dict[str, Any], rate: float, place: str) -> Calibration:
    """Judges the run, takes the difference and stores it where it can be trusted."""
    from loadlab import analysis, store
    from loadlab.analysis.accuracy import calibrated, cpu_seconds

    with store.open(place) as database:
        summary = analysis.summary_of(database, run.id)
        database.set_verdict(run.id, summary.run["verdict"], summary.run["reasons"])
        cpu_s = cpu_seconds(database.readings(run.id), database.levels(run.id))
        found = calibrated(summary.levels[0], cpu_s, ledger, rate, run.processes)
        if not found.trouble:
            database.add_calibration(run.id, run.environment, found.row())
    return found
