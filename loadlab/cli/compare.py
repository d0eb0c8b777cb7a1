"""`loadlab compare`: stored runs against each other, with intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json
from loadlab.core.config import store_url
from loadlab.core.errors import ExitCode, NoDataError, UnknownNameError, UsageError
from loadlab.core.units import parse_share

if TYPE_CHECKING:
    from loadlab.analysis.measures import Observed

LABEL = "label:"
FORMATS = ("text", "markdown")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Runs: an id, 'latest', or label:WORDS for all of a label."),
    ],
    level: Annotated[int | None, typer.Option(help="Which level of each run, from 0.")] = None,
    measure: Annotated[
        list[str] | None,
        typer.Option("--metric", "-m", help="Only this one, such as ttft_ms.p95; may be repeated."),
    ] = None,
    practical: Annotated[str, typer.Option(help="A difference up to this is none in practice.")] = "3%",
    vary: Annotated[
        list[str] | None,
        typer.Option(help="Meant to differ, such as model; may be repeated.", metavar="FACT"),
    ] = None,
    form: Annotated[str, typer.Option("--format", "-f", help="text or markdown.")] = "text",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Compare runs B … with run A, metric by metric.

    Says first what else differs, and refuses where they were not asked the same. With several runs of a label
    on a side, or earlier runs of the same kind in the store, the interval knows the scatter between runs.
    """
    from loadlab import store
    from loadlab.analysis import compare as analysis
    from loadlab.analysis import measures as named
    from loadlab.analysis.comparable import FACTS
    from loadlab.reports import comparison

    if len(runs) < 2:
        raise UsageError(f"one run has nothing to be compared with: give another beside '{runs[0]}'.")
    for name, known, kind in [(form, FORMATS, "format"), *((v, _names(FACTS), "fact") for v in vary or ())]:
        if name not in known:
            raise UnknownNameError(kind, name, known)
    chosen = tuple(named.parse(name) for name in measure) if measure else analysis.MEASURES
    size = parse_share(practical)
    with store.open(store_url(db), create=False) as database:
        base, *others = [side(database, ref, level) for ref in runs]
        seen = [run.id for each in (base, *others) for run in each]
        earlier = analysis.between_runs(database, base[0], chosen, seen)
    found = [analysis.compare(base, other, chosen, earlier, size, vary or ()) for other in others]
    if json:
        emit_json(comparison.document(found))
    else:
        render = comparison.markdown if form == "markdown" else comparison.render
        typer.echo(render(found), nl=False)
    if any(each.refused for each in found):
        raise typer.Exit(ExitCode.UNTRUSTED)


def _names(facts: Any) -> list[str]:
    return [fact.name for fact in facts]


def side(database: Any, ref: str, level: int | None) -> list[Observed]:
    """The runs of one side, each with the repeats of the level: the one that `ref` names, or its label's.

    Raises NoDataError.
    """
    from loadlab.analysis.measures import observe_load

    if not ref.startswith(LABEL):
        return observe_load(database, ref, level)
    wanted, stored = ref.removeprefix(LABEL), database.runs()
    found = stored[(stored["label"] == wanted) & (stored["state"] == "finished")]
    if found.empty:
        labels = ", ".join(sorted({each for each in stored["label"] if each})) or "none"
        raise NoDataError(f"no finished run has the label '{wanted}'; labels stored: {labels}.")
    runs = reversed(found["id"].tolist())
    return [each for run in runs for each in observe_load(database, run, level)]
