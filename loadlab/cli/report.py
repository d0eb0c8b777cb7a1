"""`loadlab report`: stored runs as a document. A verb of another file joins by a line at the end."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from loadlab.cli import delivery, options
from loadlab.cli.plan import planned, with_flags_of_plan
from loadlab.core.config import store_url

app = typer.Typer(no_args_is_help=True, help="Reports as one HTML file, Markdown or JSON.")


@app.command("run")
def report_run(
    ref: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or 'latest'.")
    ] = "latest",
    html: delivery.Html = None,
    markdown: delivery.Markdown = None,
    theme: delivery.ThemeName = "auto",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """One run: verdict, percentiles, timeline, errors, cost and setting."""
    from loadlab import store
    from loadlab.reports.run_report import run_report

    with store.open(store_url(db), create=False) as database:
        report = run_report(database, ref)
    delivery.deliver(report, html, markdown, json, theme)


@app.command("sweep")
def report_sweep(
    refs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="Runs to lay side by side; six are drawn.")
    ],
    slo: Annotated[
        str,
        typer.Option(help="Limits such as ttft_ms_p95:500,itl_ms_p95:60, or none.", metavar="LIMITS"),
    ] = "ttft_ms_p95:500",
    html: delivery.Html = None,
    markdown: delivery.Markdown = None,
    theme: delivery.ThemeName = "auto",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Throughput against latency: which load holds the SLO, what comes out, what it costs."""
    from loadlab import store
    from loadlab.figures.slo import parse
    from loadlab.reports.sweep_report import sweep_report

    limits = () if slo == "none" else parse(slo)
    with store.open(store_url(db), create=False) as database:
        report = sweep_report(database, refs, limits)
    delivery.deliver(report, html, markdown, json, theme)


@app.command("regression")
def report_regression(
    scenario: Annotated[str | None, typer.Option(help="Only runs of this scenario.")] = None,
    target: Annotated[str | None, typer.Option(help="Only runs of this target.")] = None,
    html: delivery.Html = None,
    markdown: delivery.Markdown = None,
    theme: delivery.ThemeName = "auto",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """Regressions over time: incidents with their evidence, and the series they were found in."""
    from loadlab import store
    from loadlab.reports.regression_report import regression_report

    given = {"scenario": scenario, "target": target}
    with store.open(store_url(db), create=False) as database:
        report = regression_report(database, {name: value for name, value in given.items() if value})
    delivery.deliver(report, html, markdown, json, theme)


@app.command("vendor")
def report_vendor(
    name: Annotated[str, typer.Argument(metavar="FILE|NAME", help="A comparison: its file, or its name.")],
    html: delivery.Html = None,
    markdown: delivery.Markdown = None,
    theme: delivery.ThemeName = "auto",
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """A vendor comparison: tiers, intervals, prices, availability, and what all of it rests on."""
    from loadlab import store
    from loadlab.cli.vendors import found
    from loadlab.reports.vendor_report import vendor_report

    with store.open(store_url(db), create=False) as database:
        report = vendor_report(database, found(database, name))
    delivery.deliver(report, html, markdown, json, theme)


@app.command("capacity")
@with_flags_of_plan
def report_capacity(
    html: delivery.Html = None,
    markdown: delivery.Markdown = None,
    theme: delivery.ThemeName = "auto",
    json: options.Json = False,
    **flags: Any,
) -> None:
    """A capacity plan, with the flags of `loadlab plan`: replicas, money, a day, what moves it."""
    from loadlab.reports.capacity_report import capacity_report

    delivery.deliver(capacity_report(planned(**flags)), html, markdown, json, theme)
