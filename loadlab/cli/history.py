"""`loadlab history`: has it become slower, since when, and what was done about it."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, MeasurementError, NoDataError

if TYPE_CHECKING:
    from loadlab.analysis.measures import Measure
    from loadlab.history import Checked

RERUNS = 3
app = typer.Typer(no_args_is_help=True, help="Find regressions in stored runs, and keep track of them.")
Metrics = Annotated[
    list[str] | None,
    typer.Option("--metric", "-m", help="Only this one, such as ttft_ms.p95; may be repeated."),
]
Scenario = Annotated[str | None, typer.Option(help="Only runs of this scenario.")]
Target = Annotated[str | None, typer.Option(help="Only runs of this target.")]
Ref = Annotated[str, typer.Argument(metavar="INCIDENT", help="An id, a unique prefix, or 'latest'.")]
Why = Annotated[str, typer.Option(help="Words to keep with it.")]
By = Annotated[str | None, typer.Option(help="Who says so. Default: the user of this machine.")]


@app.command("check")
def check(
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Repeat a suspect newest run three times, then judge.")
    ] = False,
    metric: Metrics = None,
    scenario: Scenario = None,
    target: Target = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Look for regressions, and open an incident for each new one.

    Exit code 0: none that is new, 1: a new one, 4: too few runs, or a suspect run that was not repeated,
    5: no runs.
    """
    from loadlab import history, store
    from loadlab.reports import history as report

    place, of = config.store_url(db), _where(scenario, target)
    with store.open(place, create=False) as database:
        measures = _measures(metric)
        if rerun:
            _repeat_suspects(database, place, history.look(database, measures, of).suspects)
        checked = history.check(database, measures, of)
    if json:
        emit_json({"check": report.check_document(checked)})
    else:
        typer.echo(report.render_check(checked), nl=False)
    raise typer.Exit(_exit_code(checked))


def _exit_code(checked: Checked) -> ExitCode:
    seen = checked.seen
    if checked.opened:
        return ExitCode.GATE_FAILED
    if not (seen.found or seen.left_out):
        return ExitCode.NO_DATA
    return ExitCode.UNTRUSTED if seen.suspects or not seen.long_enough else ExitCode.OK


def _repeat_suspects(database: Any, place: str, suspects: list[Any]) -> None:
    """Each suspect run three times more, as it was asked."""
    for run_id in dict.fromkeys(each.alarm.run_id for each in suspects):
        for turn in range(1, RERUNS + 1):
            say(f"run {run_id} is suspect; repeating it, {turn} of {RERUNS}")
            _again(database.run(run_id).spec, place)


def _again(asked: Any, place: str) -> None:
    """One run more of the same. Raises MeasurementError where it came from several hosts or was cut off."""
    from loadlab.cli.measured import close_books, judge
    from loadlab.cli.progress import Show
    from loadlab.drive import preflight, spec
    from loadlab.drive.lifecycle import Supervisor
    from loadlab.wire.auth import signer_of

    if asked.environment.get("load_hosts"):
        raise MeasurementError(
            f"run {asked.id} was sent from several hosts and is not repeated from one; repeat it by hand."
        )
    preflight.check(asked.endpoint, signer_of(asked.endpoint))
    run = spec.again(asked)
    with Show(run) as show:
        outcome = Supervisor(run, place, show.update).execute()
    if not outcome.books_closed:
        close_books(place, run.id, outcome.notes)
    verdict = judge(place, run.id).run["verdict"]
    if outcome.interrupted:
        raise MeasurementError(f"run {run.id}, a repetition of {asked.id}, was interrupted.")
    say(f"run {run.id}: {verdict}")


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Fixed and accepted ones too.")] = False,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """List the incidents that are open or acknowledged."""
    from loadlab import store
    from loadlab.reports import history as report

    with store.open(config.store_url(db), create=False) as database:
        found = database.incidents.all(None if every else ["open", "acknowledged"])
    if json:
        emit_json({"incidents": [report.incident_document(each) for each in found]})
    elif found:
        typer.echo(report.render_incidents(found), nl=False)
    else:
        say("no incident; `loadlab history check` looks for some, `--all` lists old ones")


@app.command("series")
def series(
    metric: Metrics = None,
    scenario: Scenario = None,
    target: Target = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """List what is watched: each series, how its runs scatter, and how soon 10 % would be noticed."""
    from loadlab import history, store
    from loadlab.reports import history as report

    with store.open(config.store_url(db), create=False) as database:
        seen = history.look(database, _measures(metric), _where(scenario, target))
    if not seen.found:
        raise NoDataError(f"no run makes a series ({seen.left_out} levels are not VALID); {report.TOO_FEW}")
    if json:
        emit_json({"series": [report.series_document(each) for each in seen.found]})
    else:
        typer.echo(report.render_series(seen.found), nl=False)


@app.command("show")
def show(ref: Ref = "latest", db: options.Db = None, json: options.Json = False) -> None:
    """Show one incident with its evidence."""
    from loadlab import store
    from loadlab.reports import history as report

    with store.open(config.store_url(db), create=False) as database:
        found = database.incidents.one(ref)
    if json:
        emit_json({"incident": report.incident_document(found)})
    else:
        typer.echo(report.render_incident(found), nl=False)


@app.command("ack")
def ack(ref: Ref, why: Why = "", by: By = None, db: options.Db = None) -> None:
    """Say that somebody is at it."""
    _change(ref, "acknowledged", why, by, db)


@app.command("accept")
def accept(
    ref: Ref,
    why: Annotated[str, typer.Option(help="Words to keep with it.")],
    by: By = None,
    db: options.Db = None,
) -> None:
    """Say that it stays like this: the baseline from here on."""
    _change(ref, "accepted", why, by, db)


@app.command("fix")
def fix(ref: Ref, why: Why = "", by: By = None, db: options.Db = None) -> None:
    """Say that it is fixed; `check` says so itself once the numbers are back."""
    _change(ref, "fixed", why, by, db)


@app.command("reopen")
def reopen(ref: Ref, why: Why = "", by: By = None, db: options.Db = None) -> None:
    """Take a state back."""
    _change(ref, "open", why, by, db)


def _change(ref: str, state: str, why: str, by: str | None, db: str | None) -> None:
    from loadlab import store

    with store.open(config.store_url(db), create=False) as database:
        found = database.incidents.change(ref, state, by or _user(), why)
    say(f"{found.id} is {found.state}")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in some containers
        return "somebody"


def _measures(names: list[str] | None) -> tuple[Measure, ...]:
    from loadlab import history
    from loadlab.analysis import measures

    return tuple(measures.parse(name) for name in names) if names else history.MEASURES


def _where(scenario: str | None, target: str | None) -> dict[str, str]:
    given = {"scenario": scenario, "target": target}
    return {name: value for name, value in given.items() if value}
