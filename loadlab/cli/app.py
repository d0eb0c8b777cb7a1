"""The verbs, put together. Each file of this room is one verb; only light modules are imported here."""

from __future__ import annotations

from typing import Annotated

import typer

from loadlab import __version__
from loadlab.cli import (
    alerts,
    batch,
    calibrate,
    chat,
    compare,
    cost,
    dash,
    db,
    doctor,
    export,
    gate,
    gpu,
    hardware,
    history,
    plan,
    prices,
    report,
    run,
    runs,
    schedule,
    search,
    serve,
    sweep,
    targets,
    techniques,
    vendors,
    worker,
)

app = typer.Typer(
    name="loadlab",
    help="Load testing with cost and latency observability for LLM inference endpoints.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"loadlab {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Load testing with cost and latency observability for LLM inference endpoints."""


app.command("run")(run.run)
app.command("sweep")(sweep.sweep)
app.command("search")(search.search)
app.command("batch")(batch.batch)
app.command("worker")(worker.worker)
app.add_typer(targets.app, name="targets")
app.command("chat")(chat.chat)
app.add_typer(runs.app, name="runs")
app.command("compare")(compare.compare)
app.add_typer(vendors.app, name="vendors")
app.add_typer(report.app, name="report")
app.command("plan")(plan.plan)
app.command("calibrate")(calibrate.calibrate)
app.command("serve")(serve.serve)
app.add_typer(hardware.app, name="hardware")
app.command("techniques")(techniques.techniques)
app.command("dash")(dash.dash)
app.add_typer(gate.app, name="gate")
app.add_typer(history.app, name="history")
app.add_typer(schedule.app, name="schedule")
app.add_typer(alerts.app, name="alerts")
app.add_typer(gpu.app, name="gpu")
app.add_typer(prices.app, name="prices")
app.add_typer(cost.app, name="cost")
app.add_typer(export.app, name="export")
app.add_typer(db.app, name="db")
app.command("doctor")(doctor.doctor)
