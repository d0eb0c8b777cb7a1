"""`loadlab gate calibrate`: the gate on a server against itself, over and over."""

from __future__ import annotations

import shlex
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from loadlab.gates import Gate

_SIM = "--engine sim --jitter 0.1"


def calibrate(
    gates: Annotated[int, typer.Option(min=1, help="How many gates to run.")] = 20,
    server: Annotated[
        str, typer.Option(help="Flags of the bundled server that is started.", metavar="FLAGS")
    ] = _SIM,
    url: Annotated[str | None, typer.Option(help="A running server instead.")] = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Run the gate on a server against itself and count false alarms.

    Nothing differs between the sides, so each FAIL is false. A rule that fails in more than 5 % of twenty or
    more such gates is demoted: `loadlab gate run` then only informs of it. Exit code 1 when one is.
    """
    from contextlib import ExitStack

    from loadlab import gates as room
    from loadlab import store
    from loadlab.drive.bundled import bundled_server
    from loadlab.gates import same
    from loadlab.reports import gate_same

    asked = room.parse(config.load())
    if not asked.regress:
        raise UsageError("loadlab.toml: [gate] has no regress rules: only those can be wrong of themselves.")
    place = config.store_url(db)
    with ExitStack() as running:
        where = url or f"{running.enter_context(bundled_server(shlex.split(server))).url}/v1"
        database = running.enter_context(store.open(place))
        for number in range(gates):
            _one(_same(asked, where), database, place, number, gates)
        documents = _documents(database, asked.scenario)
    found = same.tally(documents, max(rule.tolerance for rule in asked.regress))
    if json:
        emit_json(
            {"gates": len(documents), "rules": [{**asdict(each), "demoted": each.demoted} for each in found]}
        )
    else:
        typer.echo(gate_same.render(len(documents), found), nl=False)
    if any(each.demoted for each in found):
        raise typer.Exit(ExitCode.GATE_FAILED)


def _same(gate: Gate, url: str) -> Gate:
    """The gate with that server on both sides, and nothing but its relative rules."""
    return replace(
        gate, slo=(), base=url, target=url, base_command=None, candidate_command=None, baseline=None,
        extensions=0,
    )  # fmt: skip


def _one(gate: Gate, database: Any, place: str, number: int, count: int) -> None:
    from loadlab.cli import gate_run
    from loadlab.gates import same
    from loadlab.reports.gate import About, document

    gate_id = same.PREFIX + gate_run.new_id()
    seeded = replace(gate, seed=gate.seed + number * gate.pairs)
    found = gate_run.carry_out(seeded, database, place, gate_id, {"candidate": None, "base": None})
    at = datetime.now(UTC).isoformat(timespec="seconds")
    about = About(gate_id, gate.scenario, at, "loadlab gate calibrate")
    database.add_gate(gate_id, found.outcome, document(found, about))
    say(f"{number + 1} of {count}: {found.outcome}")


def _documents(database: Any, scenario: str) -> list[dict[str, Any]]:
    """Of the stored gates of a server against itself, those of the scenario, newest first."""
    from loadlab.gates import same

    stored = database.gates()
    documents = stored[stored["id"].str.startswith(same.PREFIX)]["document"].tolist()
    return [each for each in documents if each["gate"]["scenario"] == scenario]


def without_demoted(gate: Gate, database: Any) -> tuple[Gate, tuple[str, ...]]:
    """The gate whose rules that cried wolf only inform, and a sentence for each of them."""
    from loadlab.gates import same

    if not gate.regress:
        return gate, ()
    found = same.tally(_documents(database, gate.scenario), max(rule.tolerance for rule in gate.regress))
    names = {each.rule: each for each in found if each.demoted}
    kept = tuple(rule for rule in gate.regress if rule.measure.name not in names)
    lost = [rule.measure for rule in gate.regress if rule.measure.name in names]
    words = tuple(
        f"{measure.name} is demoted and blocks nothing: it failed in {names[measure.name].failed} of "
        f"{names[measure.name].n} gates of a server against itself; see loadlab gate calibrate"
        for measure in lost
    )
    return replace(gate, regress=kept, inform=(*lost, *gate.inform)), words
