"""`loadlab runs`: what is stored. Lists, shows and exports; nothing here measures or changes a run."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from loadlab.cli import options
from loadlab.cli.output import emit_json, say
from loadlab.core.config import store_url
from loadlab.core.errors import NoDataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from loadlab.store import Store

app = typer.Typer(no_args_is_help=True, help="List, show and export stored runs.")

FORMATS = ("csv", "json", "markdown")
Ref = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or 'latest'.")]


@app.command("list")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20,
    db: options.Db = None,
    json: options.Json = False,
) -> None:
    """List stored runs, newest first."""
    from loadlab.reports import listing

    with closing(_open(db)) as store:
        runs = store.runs(limit=limit)
        if runs.empty:
            raise NoDataError(f"no run is stored in {store.info()['url']}. {_FIRST_RUN}")
    if json:
        emit_json({"runs": listing.documents(runs)})
    else:
        sys.stdout.write(listing.render(runs))


@app.command("show")
def show_run(ref: Ref = "latest", db: options.Db = None, json: options.Json = False) -> None:
    """Show one run: its verdict, its levels, its errors and its cost."""
    from loadlab.analysis import summary_of
    from loadlab.reports import as_json, text

    with closing(_open(db)) as store:
        summary = summary_of(store, ref)
    if json:
        emit_json(as_json.document(summary))
    else:
        sys.stdout.write(text.render(summary))


@app.command("export")
def export_run(
    ref: Ref = "latest",
    kind: Annotated[
        str, typer.Option("--format", "-f", help="csv (one line per request), json or markdown.")
    ] = "csv",
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="'-' is stdout.")] = "-",
    db: options.Db = None,
) -> None:
    """Export one run: its requests as CSV, or its summary as JSON or Markdown."""
    if kind not in FORMATS:
        raise UnknownNameError("export format", kind, FORMATS)
    with closing(_open(db)) as store:
        exported = _exported(store, ref, kind)
    _write(output, exported)


_FIRST_RUN = "Make one: loadlab run chat --url http://127.0.0.1:8000/v1"


def _open(db: str | None) -> Store:
    from loadlab import store

    return store.open(store_url(db), create=False)


def _exported(store: Store, ref: str, kind: str) -> str:
    from loadlab import reports
    from loadlab.analysis import summary_of
    from loadlab.reports import csv

    if kind == "csv":
        return csv.render(store.requests(store.run(ref).id))
    return reports.render(kind, summary_of(store, ref))


def _write(output: str, text: str) -> None:
    if output == "-":
        sys.stdout.write(text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write '{output}': {error.strerror}. Choose another place with -o."
        ) from error
    say(f"wrote {output}: {len(text.encode()):,} bytes")
