"""A run carried out: measured, judged, printed; and gone on with, where it was interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from loadlab.core.errors import ExitCode
from loadlab.core.nouns import Run

if TYPE_CHECKING:
    from loadlab.analysis import Summary
    from loadlab.drive.course import Course
    from loadlab.drive.hosts import Hosts
    from loadlab.drive.lifecycle import Outcome


def execute(run: Run, place: str, as_json: bool, hosts: Hosts | None = None) -> None:
    """Runs a list of levels, judges and prints; leaves with the exit code of the verdict."""
    if hosts is not None or len(run.levels) == 1:
        finish(measure(run, place, hosts=hosts), place, run.id, as_json)
        return
    from loadlab import store
    from loadlab.sweeps.book import Book
    from loadlab.sweeps.courses import course_of

    with store.open(place) as database:
        outcome = measure(run, place, course_of(run, Book(database, run.id)))
    finish(outcome, place, run.id, as_json)


def measure(
    run: Run,
    place: str,
    course: Course | None = None,
    reached: Mapping[str, Any] | None = None,
    hosts: Hosts | None = None,
) -> Outcome:
    """Runs it, shown to whoever waits; its end is in the store whatever happened."""
    from loadlab.cli.progress import Show
    from loadlab.drive.lifecycle import Supervisor

    with Show(run) as show:
        outcome = Supervisor(run, place, show.update, hosts, course, reached).execute()
    if not outcome.books_closed:
        close_books(place, run.id, outcome.notes)
    return outcome


def finish(outcome: Outcome, place: str, run_id: str, as_json: bool) -> None:
    """Judges and prints; leaves with the exit code of the verdict."""
    verdict = conclude(place, run_id, as_json)
    if outcome.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if verdict == "INVALID":
        raise typer.Exit(ExitCode.UNTRUSTED)


def close_books(place: str, run_id: str, notes: list[str]) -> None:
    """Writes down the end of a run whose recorder was lost."""
    from loadlab import store

    with store.open(place) as database:
        database.finish_run(run_id, "interrupted", notes)


def conclude(place: str, run_id: str, as_json: bool) -> str:
    """Judges a recorded run and prints the judgement; gives the verdict."""
    from loadlab import reports

    summary = judge(place, run_id)
    typer.echo(reports.render("json" if as_json else "text", summary), nl=False)
    return str(summary.run["verdict"])


def judge(place: str, run_id: str) -> Summary:
    """Judges a recorded run, and stores the verdict and the numbers that history reads."""
    from loadlab import analysis, store
    from loadlab.analysis.judged import judged

    with store.open(place) as database:
        summary = analysis.summary_of(database, run_id)
        database.set_verdict(run_id, summary.run["verdict"], summary.run["reasons"])
        database.statistics.write(run_id, judged(database, summary))
    return summary
