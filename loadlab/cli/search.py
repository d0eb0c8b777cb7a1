"""`loadlab search`: the most load that keeps an SLO, between what bounds, and how that was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.alike import command, like
from loadlab.cli.output import say
from loadlab.cli.run import run as run_verb
from loadlab.core.errors import ExitCode, UnknownNameError, UsageError
from loadlab.core.nouns import Level, Run
from loadlab.core.units import parse_duration, parse_share

if TYPE_CHECKING:
    from loadlab.drive.lifecycle import Outcome
    from loadlab.sweeps.searching import Searching

BY = ("rate", "users")
_MOST = 1e6
_EXIT = {
    "FOUND": ExitCode.OK, "AT LEAST": ExitCode.OK, "NONE": ExitCode.GATE_FAILED, "WIDE": ExitCode.UNTRUSTED,
    "INVALID": ExitCode.UNTRUSTED,
}  # fmt: skip
_NOT_HERE = (
    "users", "rate", "profile", "trace", "speed", "shape", "requests", "repeat", "keep_going", "hosts",
    "bind", "allow_remote", "collect",
)  # fmt: skip


@like(run_verb, without=_NOT_HERE)
def search(
    scenario: options.Scenario,
    slo: Annotated[
        list[str] | None,
        typer.Option(
            help='What must hold: an SLO such as chat, or a rule as in [gate], "ttft_ms.p95 <= 200ms"; '
            "may be repeated.",
            metavar="RULE",
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="What is raised: rate (Poisson arrivals), or users.")] = "rate",
    from_: Annotated[
        float | None,
        typer.Option("--from", help="The first load to try. Default: what one user alone gets, or 1 user."),
    ] = None,
    most: Annotated[float | None, typer.Option("--most", help="No load above this.")] = None,
    within: Annotated[str, typer.Option(help="How close the answer is wanted.")] = "5%",
    levels: Annotated[int, typer.Option(min=3, help="At most so many loads are tried.")] = 16,
    budget: Annotated[str | None, typer.Option(help="No new level after this time, such as 10m.")] = None,
    warmup: options.Warmup = "5s",
    **given: Any,
) -> None:
    """Find the most load under which SCENARIO keeps an SLO.

    Doubles the load until the SLO is missed, closes in on the limit, and states the interval that it lies in.
    Every load tried is a level of one run. Exit code 1: even the lightest load misses it; 4: inconclusive.
    """
    given = {
        **given, "scenario": scenario, "slo": slo or [], "by": by, "from_": from_, "most": most,
        "within": within, "levels": levels, "budget": budget, "warmup": warmup,
    }  # fmt: skip
    from loadlab import store
    from loadlab.cli import asked, measured
    from loadlab.sweeps.book import Book
    from loadlab.sweeps.searching import Searching

    course = _course(given)
    unused = dict.fromkeys(("hosts", "bind"), None) | dict.fromkeys(("collect", "allow_remote"), False)
    run = asked.run({**given, **unused, "slo": None}, (_heaviest(course),), course=course, fresh_prompts=True)
    if run.max_rate and by == "rate":
        run = _capped(run, run.max_rate)
    say(_announced(course))
    place = asked.place(given)
    with store.open(place) as database:
        found = Searching(run, Book(database, run.id))
        outcome = measured.measure(run, place, found)
        again = command(search, given, seed=run.seed, json=False)
        conclude(run, found, outcome, place, given["json"], again)


def _course(given: dict[str, Any]) -> dict[str, Any]:
    """The search as the run keeps it. Raises UsageError."""
    from loadlab.drive import spec
    from loadlab.sweeps import margin

    by, whole = given["by"], given["by"] == "users"
    if by not in BY:
        raise UnknownNameError("load (--by)", by, BY)
    rules = margin.rules_of(given["slo"])
    names = ("arrivals", "cv", "max_in_flight")
    flags = {name: given[name] for name in names}
    (level,) = spec.levels(
        **({"users": [1]} if whole else {"rates": [1.0]}),
        duration_s=parse_duration(given["duration"] or "60s"),
        warmup_s=parse_duration(given["warmup"]),
        spread_s=_s(given["spread"]),
        think_s=_s(given["think"]),
        **flags,
    )
    aim: dict[str, Any] = {
        "most": _MOST if given["most"] is None else given["most"], "within": parse_share(given["within"]),
        "levels": given["levels"], "whole": whole,
    }  # fmt: skip
    if aim["within"] <= 0 or aim["most"] <= 0 or (given["from_"] or 1) <= 0:
        raise UsageError("--within, --most and --from must be more than 0.")
    if given["from_"] is not None:
        start = float(round(given["from_"])) if whole else given["from_"]
        aim |= {"start": start, "least": 1.0 if whole else start / 2**5}
    return {
        "kind": "search", "by": by, "slo": [rule.text for rule in rules], "level": asdict(level), "aim": aim,
        "budget_s": _s(given["budget"]),
    }  # fmt: skip


def _announced(course: dict[str, Any]) -> str:
    """What will be done and how long it takes at most, before it begins."""
    levels, by = course["aim"]["levels"], "requests/s" if course["by"] == "rate" else "users"
    minutes = levels * course["level"]["duration_s"] / 60
    longer = ", more where a rate brings few requests" if course["by"] == "rate" else ""
    until = f", none begun after {course['budget_s'] / 60:.3g} minutes" if course["budget_s"] else ""
    return (
        f"search: the most {by} under {' and '.join(course['slo'])}; at most {levels} levels, "
        f"{minutes:.3g} minutes{longer}{until}"
    )


def _s(text: str | None) -> float | None:
    return None if text is None else parse_duration(text)


def _heaviest(course: dict[str, Any]) -> Level:
    """A level for the caps to look at: what a search tries first, or would at most."""
    level, aim = Level(**course["level"]), course["aim"]
    if course["by"] == "users" or "start" not in aim:
        return Level(0, users=1, duration_s=level.duration_s, warmup_s=level.warmup_s)
    return Level(0, rate=aim["start"], arrivals=level.arrivals, duration_s=level.duration_s)


def _capped(run: Run, rate: float) -> Run:
    """No level above the cap on the rate."""
    from dataclasses import replace

    aim = {**run.course["aim"], "most": min(rate, run.course["aim"]["most"])}
    return replace(run, course={**run.course, "aim": aim})


def conclude(run: Run, found: Searching, outcome: Outcome, place: str, as_json: bool, again: str) -> None:
    """Judges the run, prints the answer with it, and leaves with the exit code of the answer."""
    from loadlab.cli import measured
    from loadlab.reports import search as report

    summary = measured.judge(place, run.id)
    answer = found.answer
    told = report.Told(answer, run.course, tuple(found.probes), summary, again)
    typer.echo(report.as_json(told) if as_json else report.as_text(told), nl=False)
    raise typer.Exit(ExitCode.INTERRUPTED if outcome.interrupted else _EXIT[answer.outcome])
