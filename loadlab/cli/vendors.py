"""`loadlab vendors`: measures several vendors by turns over days, and says how far that is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core import config
from loadlab.core.errors import UsageError

if TYPE_CHECKING:
    from loadlab.vendors import Study

app = typer.Typer(no_args_is_help=True, help="Compare vendors by turns, over days.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="The comparison, such as vendors.toml.")]
Slots = Annotated[
    str | None,
    typer.Option(
        help="now: the next slot; a number: so many, one after the other. Default: all, each when due.",
        metavar="now|N",
    ),
]


@app.command("run")
def run(
    file: File,
    slots: Slots = None,
    yes: Annotated[bool, typer.Option("--yes", help="Measure vendors that bill, without a cap.")] = False,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Measure the vendors of FILE by turns, slot after slot.

    What was measured is kept: started again, it goes on where it stopped. A scheduler or cron may call it
    with --slots now instead of leaving it running.
    """
    from loadlab import store, vendors
    from loadlab.cli import vendors_run
    from loadlab.reports import vendor_status

    study = vendors.read(file)
    count = _count(slots, study)
    with store.open(config.store_url(db)) as database:
        progress = vendors_run.Progress(database, as_begun(database, study), config.store_url(db), yes=yes)
        progress.begin()
        progress.work(count, wait=slots is None)
        status = vendor_status.status(database, study)
    if json:
        emit_json(vendor_status.document(study, status))
    else:
        typer.echo(vendor_status.render(study, status), nl=False)


def _count(slots: str | None, study: Study) -> int:
    if slots is None:
        return study.slots
    if slots == "now":
        return 1
    if not slots.isdecimal() or not int(slots):
        raise UsageError(f"--slots '{slots}' is not understood; write now, or how many, such as 4.")
    return int(slots)


@app.command("plan")
def plan(
    file: File,
    sigma: Annotated[
        float, typer.Option(min=0.01, help="Scatter of one request: the SD of its latency's logarithm.")
    ] = 0.4,
    slot_noise: Annotated[
        float, typer.Option(min=0.0, help="What a slot adds to a vendor: the SD of that logarithm.")
    ] = 0.05,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Say what FILE would send, cost and take, and which gap between vendors it would find.

    Where the store has slots of this comparison already, the scatter is the one that was measured.
    """
    from loadlab import vendors
    from loadlab.cli import vendors_run
    from loadlab.reports import vendor_plan

    study = vendors.read(file)
    scatter = _measured(study, config.store_url(db)) or (sigma, slot_noise, "assumed")
    costs = {vendor.name: vendors_run.estimated(study, vendor) for vendor in study.vendors}
    found = vendor_plan.plan(study, scatter, costs)
    if json:
        emit_json(vendor_plan.document(found))
    else:
        typer.echo(vendor_plan.render(found), nl=False)


def _measured(study: Study, place: str) -> tuple[float, float, str] | None:
    """The scatter of what is stored of it already."""
    from loadlab import store
    from loadlab.core.errors import LoadlabError
    from loadlab.reports.vendor_numbers import scatter

    try:
        with store.open(place, create=False) as database:
            return scatter(database, study)
    except LoadlabError:
        return None


@app.command("status")
def status(
    name: Annotated[
        str | None, typer.Argument(metavar="[FILE|NAME]", help="One comparison. Default: all there are.")
    ] = None,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Say how far comparisons are, what they spent, and when the next slot is due."""
    from loadlab import store
    from loadlab.reports import vendor_status
    from loadlab.reports.vendor_numbers import studies

    with store.open(config.store_url(db), create=False) as database:
        known = [found(database, name)] if name else studies(database)
        told = [(study, vendor_status.status(database, study)) for study in known]
    if json:
        emit_json({"comparisons": [vendor_status.document(*each) for each in told]})
        return
    if not told:
        say("no vendor comparison is stored; `loadlab vendors run vendors.toml` begins one.")
    typer.echo("\n".join(vendor_status.render(*each) for each in told), nl=False)


def found(database: Any, name: str) -> Study:
    """The comparison of a file, or of that name in the store. Raises UsageError or NoDataError."""
    from loadlab.vendors import Study, read

    if name.endswith(".toml"):
        return as_begun(database, read(Path(name)))
    return Study.from_document(database.study(name))


def as_begun(database: Any, study: Study) -> Study:
    """The comparison with the reference tokenizer that it was begun with, where the file names none."""
    if study.reference or study.name not in set(database.studies()["name"]):
        return study
    return replace(study, reference=database.study(study.name)["reference"])
