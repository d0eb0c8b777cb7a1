"""`loadlab gate`: rules on numbers, with three answers and the exit code that CI reads."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import gate_calibrate, options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from loadlab.gates import Gate, Judgement
    from loadlab.reports.gate import About

app = typer.Typer(no_args_is_help=True, help="Judge runs by the rules of [gate] in loadlab.toml.")
baseline_app = typer.Typer(no_args_is_help=True, help="Stored runs that a gate compares with.")
app.add_typer(baseline_app, name="baseline")
app.command("calibrate")(gate_calibrate.calibrate)

Report = Annotated[
    list[str] | None,
    typer.Option(
        "--report", help="Also write a report: junit, html, markdown, json, gitlab; repeatable.",
        metavar="KIND=FILE",
    ),
]  # fmt: skip


@app.command("run")
def run(
    url: Annotated[str | None, typer.Option(help="The candidate, instead of [gate] target.")] = None,
    base_url: Annotated[str | None, typer.Option(help="The base, instead of [gate] base.")] = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Pairs, instead of [gate] pairs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the first pair, instead of [gate] seed.")] = None,
    report: Report = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Measure and judge.

    Runs the load of [gate], base and candidate by turns where there is a base, and judges every rule.
    Exit code 0: PASS, 1: FAIL, 4: INCONCLUSIVE or INVALID.
    """
    from loadlab import gates, store
    from loadlab.cli import gate_run

    read = gates.parse(config.load())
    asked = replace(read, pairs=pairs or read.pairs, seed=read.seed if seed is None else seed)
    given = {"--url": url, "--base-url": base_url, "--pairs": pairs and str(pairs), "--seed": str(asked.seed)}
    words = [word for flag, value in given.items() if value for word in (flag, value)]
    reports = _reports(report)
    place, gate_id = config.store_url(db), gate_run.new_id()
    with store.open(place) as database:
        asked, notes = gate_calibrate.without_demoted(asked, database)
        found = gate_run.carry_out(asked, database, place, gate_id, {"candidate": url, "base": base_url})
        about = _about(gate_id, asked, ["loadlab", "gate", "run", *words])
        _conclude(replace(found, notes=(*notes, *found.notes)), about, database, reports, json)


@app.command("check")
def check(
    runs: Annotated[list[str], typer.Argument(metavar="RUN ...", help="The candidate's runs.")],
    base: Annotated[
        list[str] | None, typer.Option(help="Runs to compare with, instead of the baseline; repeatable.")
    ] = None,
    baseline: Annotated[str | None, typer.Option(help="A baseline, instead of [gate] baseline.")] = None,
    report: Report = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Judge runs that are stored; sends nothing."""
    from loadlab import gates, store
    from loadlab.analysis.measures import observe
    from loadlab.cli import gate_run

    read = replace(gates.parse(config.load()), base=None, base_command=None, candidate_command=None)
    name, reports, gate_id = baseline or read.baseline, _reports(report), gate_run.new_id()
    with store.open(config.store_url(db), create=False) as database:
        refs = base or (database.baseline(name) if name else [])
        if read.regress and not refs:
            raise UsageError(
                "[gate] regress needs something to compare with: give --baseline NAME or --base RUN."
            )
        before, after = ([observe(database, ref) for ref in each] for each in (refs, runs))
        found = gate_run.judge(read, database, before, after)
        again = ["loadlab", "gate", "check", *found.candidate]
        again += [word for ref in found.base for word in ("--base", ref)]
        _conclude(found, _about(gate_id, read, again), database, reports, json)


@app.command("plan")
def plan(
    pilot: Annotated[str, typer.Option(help="A run of the load that the gate shall make.")] = "latest",
    find: Annotated[str, typer.Option(help="The regression to be found with 90 % certainty.")] = "10%",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Say how many pairs of how many requests find a regression, in how many minutes and for how much."""
    from loadlab import gates, store
    from loadlab.core.units import parse_share
    from loadlab.gates import planning
    from loadlab.reports import gate_plan

    asked, wanted = gates.parse(config.load()), parse_share(find)
    if not asked.regress:
        raise UsageError("loadlab.toml: [gate] has no regress rules: there is nothing to plan pairs for.")
    tolerance = max(rule.tolerance for rule in asked.regress)
    if wanted <= tolerance:
        raise UsageError(f"--find {find} must be more than the tolerance, {tolerance:.0%}.")
    with store.open(config.store_url(db), create=False) as database:
        measured, run_sds, doubt = _pilot(database, pilot, asked)
    found = planning.plan(measured, wanted, run_sds, tolerance)
    now = planning.described(asked.pairs, asked.requests or measured.requests, measured, run_sds, tolerance)
    if json:
        emit_json({**gate_plan.document(wanted, found, now), "pilot": doubt})
    else:
        typer.echo(gate_plan.render(wanted, found, now, run_sds, doubt), nl=False)


def _pilot(database: Any, ref: str, asked: Gate) -> tuple[Any, dict[str, float], str]:
    """What the plan needs of a run, the scatter between earlier runs less that inside them, and a doubt."""
    from loadlab.analysis.compare import between_runs
    from loadlab.analysis.measures import observe
    from loadlab.gates import pilot
    from loadlab.gates.planning import Pilot

    seen, measures = observe(database, ref), [rule.measure for rule in asked.regress]
    found = {measure.name: pilot.error(seen, measure) for measure in measures}
    errors = {name: each.value for name, each in found.items()}
    spreads = between_runs(database, seen, measures)
    sds = {name: max(0.0, spread.sd**2 - found[name].found ** 2) ** 0.5 for name, spread in spreads.items()}
    counts = seen.level.requests
    warmup_s = float(seen.level.offered.get("warmup_s") or 0.0)
    doubt = pilot.words(found, counts["sent"])
    usd, window_s = seen.level.cost["usd"], seen.level.window_s or 0.0
    return Pilot(errors, counts["sent"], window_s, usd, warmup_s), sds, doubt


@baseline_app.command("set")
def baseline_set(
    name: Annotated[str, typer.Argument(help="Such as main.")],
    runs: Annotated[list[str], typer.Argument(metavar="RUN ...", help="The runs it consists of.")],
    why: Annotated[str, typer.Option(help="Words to keep with it.")] = "",
    db: options.Db = None,
) -> None:
    """Make runs the baseline of that name; what it was before stays stored."""
    from loadlab import store
    from loadlab.analysis.measures import observe

    with store.open(config.store_url(db), create=False) as database:
        found = [observe(database, ref) for ref in runs]
        if bad := [run for run in found if run.level.verdict == "INVALID"]:
            raise UsageError(f"run {bad[0].id} is INVALID and no baseline: {bad[0].level.reasons[0]}")
        database.set_baseline(name, [run.id for run in found], why)
    say(f"baseline {name}: {', '.join(run.id for run in found)}")


@baseline_app.command("promote")
def baseline_promote(
    name: Annotated[str, typer.Argument(help="Such as main.")],
    gate: Annotated[str, typer.Option(help="A gate's id; 'latest' is the newest.")] = "latest",
    force: Annotated[bool, typer.Option("--force", help="Also of a gate that did not pass.")] = False,
    db: options.Db = None,
) -> None:
    """Make the candidate of a gate that passed the baseline."""
    from loadlab import store
    from loadlab.core.errors import NoDataError

    with store.open(config.store_url(db), create=False) as database:
        stored = database.gates()
        stored = stored[stored["id"].str.startswith("gate-")]
        found = stored if gate == "latest" else stored[stored["id"] == gate]
        if found.empty:
            raise NoDataError(f"gate '{gate}' is not stored; `loadlab gate run` makes one.")
        row = found.iloc[0]
        if row["outcome"] != "PASS" and not force:
            raise UsageError(f"{row['id']} is {row['outcome']}; --force promotes its candidate all the same.")
        runs = [str(ref) for ref in row["document"]["candidate"]]
        database.set_baseline(name, runs, f"promoted from {row['id']}")
    say(f"baseline {name}: {', '.join(runs)}")


@baseline_app.command("list")
def baseline_list(db: options.Db = None, json: options.Json = False) -> None:
    """List the baselines in force."""
    from loadlab import store

    with store.open(config.store_url(db), create=False) as database:
        known = database.baselines()
    rows = [
        {"name": row["name"], "run": row["run_id"], "set_at": _iso(row["set_at_ns"]), "why": row["why"]}
        for row in known.to_dict("records")
    ]
    if json:
        emit_json({"baselines": rows})
        return
    for row in rows:
        typer.echo(f"{row['name']}  {row['run']}  {row['set_at']}  {row['why']}".rstrip())


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(int(at_ns) // 10**9, UTC).isoformat()


def _about(gate_id: str, gate: Gate, again: list[str]) -> About:
    from loadlab.reports.gate import About

    passes = ("PASS", "INCONCLUSIVE") if gate.on_inconclusive == "pass" else ("PASS",)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return About(gate_id, gate.scenario, at, shlex.join(again), passes)


def _reports(given: list[str] | None) -> dict[str, Path]:
    """The reports asked for, before anything is measured. Raises UsageError."""
    from loadlab.reports import gate_faces

    found = {}
    for text in given or []:
        kind, _, file = text.partition("=")
        gate_faces.known(kind)
        if not file:
            raise UsageError(f"--report {text} has no file; write it like --report {kind}=gate.{kind}.")
        found[kind] = Path(file)
    return found


def _conclude(found: Judgement, about: About, database: Any, reports: dict[str, Path], as_json: bool) -> None:
    """Stores and prints the judgement, and leaves with its exit code."""
    from loadlab.reports import gate, gate_faces, github

    document = gate.document(found, about)
    database.add_gate(about.id, found.outcome, document)
    for kind, file in reports.items():
        try:
            file.write_text(gate_faces.render(kind, found, about), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write '{file}': {error.strerror}. Choose another place.") from error
    github.tell(found, about, sys.stderr)
    if as_json:
        emit_json(document)
    else:
        typer.echo(gate.render(found, about), nl=False)
    if found.outcome not in about.passes:
        raise typer.Exit(found.exit_code)
    if found.outcome != "PASS":
        say(f'{found.outcome}, which on_inconclusive = "pass" lets by')
        raise typer.Exit(ExitCode.OK)
