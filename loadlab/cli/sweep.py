"""`loadlab sweep`: `run` at several levels, chosen automatically if wanted, resumed if interrupted."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from loadlab.cli.alike import changed, like
from loadlab.cli.output import say
from loadlab.cli.run import carry_out
from loadlab.cli.run import run as run_verb
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level

_SWEEP = "1,2,4,8"
_SHORTEST_S = 5.0
_LOADS = ("users", "rate", "profile", "trace", "shape")
_RESUMED = ("resume", "db", "json", "url", "target")


@like(run_verb)
def sweep(
    scenario: Annotated[
        str | None, typer.Argument(help="A bundled scenario, one in ./scenarios, or a path ending in .py.")
    ] = None,
    auto: Annotated[
        bool,
        typer.Option(
            "--auto", help="From one user to saturation, then open loops, close together at the knee."
        ),
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="With --auto: time for all levels together; shared among them.")
    ] = None,
    max_users: Annotated[int, typer.Option(min=1, help="With --auto: at most so many users.")] = 256,
    resume: Annotated[
        str | None, typer.Option(help="Go on with an interrupted run, as it was asked for.", metavar="RUN")
    ] = None,
    **given: Any,
) -> None:
    given = {**given, "scenario": scenario, "auto": auto, "budget": budget, "max_users": max_users}
    if resume is not None:
        _resume({**given, "resume": resume})
    elif scenario is None:
        raise UsageError("sweep what? name a scenario, such as `loadlab sweep chat`, or --resume RUN.")
    elif auto:
        _automatic(given)
    elif budget is not None:
        raise UsageError("--budget goes with --auto; a list of levels takes --duration for each.")
    else:
        listed = any(given[kind] for kind in _LOADS)
        carry_out({**given, "users": given["users"] if listed else _SWEEP})


sweep.__doc__ = f"""Run SCENARIO at several levels of load.

One level follows the other; together they are one run. Without --users or --rate: users {_SWEEP}. An open
level that the server does not keep up with is ended, and higher rates are skipped.
"""


def _automatic(given: dict[str, Any]) -> None:
    from loadlab.cli import asked, measured
    from loadlab.core.units import parse_duration
    from loadlab.sweeps.auto import Scope

    flags = [name for name in (*_LOADS, "requests", "think", "spread", "arrivals", "cv") if given[name]]
    if flags or given["repeat"] != 1:
        name = flags[0] if flags else "repeat"
        raise UsageError(f"--auto chooses the levels itself; drop --{name}.")
    asked.alone(given, "--auto")
    scope = Scope(given["max_users"], given["max_rate"])
    duration_s = parse_duration(given["duration"] or "30s")
    if given["budget"] is not None:
        duration_s = parse_duration(given["budget"]) / scope.levels
    if duration_s < _SHORTEST_S:
        raise UsageError(
            f"{scope.levels} levels of {duration_s:.1f} s say little; give --budget "
            f"{scope.levels * _SHORTEST_S:.0f}s or more, or a lower --max-users."
        )
    warmup_s = parse_duration(given["warmup"])
    if warmup_s >= duration_s:
        raise UsageError(f"--warmup {warmup_s:g}s leaves nothing of {duration_s:.3g} s a level to measure.")
    most = Level(0, users=scope.users[-1], duration_s=duration_s, warmup_s=warmup_s)
    course = {
        "kind": "auto", "duration_s": round(duration_s, 1), "warmup_s": warmup_s,
        "most_users": scope.most_users, "most_rate": scope.most_rate,
    }  # fmt: skip
    run = asked.run(given, (most,), course=course, fresh_prompts=True)
    run = replace(run, course={**course, "most_rate": run.max_rate})
    say(
        f"auto: users {', '.join(map(str, scope.users))} until throughput stops rising, then 9 rates; at "
        f"most {scope.levels} levels of {duration_s:.3g} s, {scope.levels * duration_s / 60:.3g} minutes"
    )
    measured.execute(run, asked.place(given), given["json"])


def _resume(given: dict[str, Any]) -> None:
    from loadlab.cli import resuming
    from loadlab.core import config

    flags = changed(sweep, {**given, "scenario": None})
    if strange := [name for name in flags if name not in _RESUMED]:
        raise UsageError(f"--resume goes on as the run was asked for; drop --{strange[0].replace('_', '-')}.")
    if given["scenario"] is not None:
        raise UsageError(f"--resume knows its scenario; drop '{given['scenario']}'.")
    resuming.resume(
        given["resume"], config.store_url(given["db"]), given["url"], given["target"], given["json"]
    )
