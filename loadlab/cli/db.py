"""`loadlab db`: what is in the database, its schema brought up to date, stray records taken in."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from loadlab.cli.output import emit_json, say
from loadlab.core import config

app = typer.Typer(
    help="Look at the database and bring its schema up to date.", no_args_is_help=True, rich_markup_mode=None
)

Database = Annotated[
    str | None,
    typer.Option("--db", help="Database URL; default: LOADLAB_DB, loadlab.toml, sqlite:///loadlab.db."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def info(db: Database = None, json: Json = False) -> None:
    """Where the database is, its schema revision, its size and how many rows it holds."""
    from loadlab import store

    with store.open(config.store_url(db), create=False) as opened:
        found = opened.info()
    emit_json({"store": found}) if json else typer.echo(_described(found))


@app.command()
def migrate(db: Database = None, json: Json = False) -> None:
    """Create the tables or upgrade them to the newest schema; harmless when there is nothing to do."""
    from loadlab import store

    with store.open(config.store_url(db)) as opened:
        before, now = opened.migrated_from, opened.info()
    if before != now["revision"]:
        say(f"migrated {now['url']} from {before or 'empty'} to {now['revision']}")
    emit_json({"migrated_from": before, "store": now}) if json else typer.echo(_described(now))


@app.command()
def merge(
    file: Annotated[str, typer.Argument(help="What a lost load host left behind: loadlab-RUN-N.db.")],
    db: Database = None,
    json: Json = False,
) -> None:
    """Add what a load host recorded and could not hand over to its run, and judge the run anew."""
    from loadlab import analysis, store

    with (
        store.open(f"sqlite:///{file}", create=False) as source,
        store.open(config.store_url(db), create=False) as into,
    ):
        found = source.run("latest").id
        taken = store.take_over(source, into, into.run(found).id)
        judged = analysis.summary_of(into, found).run
        into.set_verdict(found, judged["verdict"], judged["reasons"])
    if json:
        emit_json({"run": found, "requests": taken, "verdict": judged["verdict"]})
    else:
        typer.echo(f"{taken:,} requests into {found}, now {judged['verdict']}")


def _described(info: dict[str, Any]) -> str:
    size = "unknown" if info["size_bytes"] is None else f"{info['size_bytes'] / 1e6:,.2f} MB"
    lines = {
        "database": info["url"],
        "schema": f"revision {info['revision']} (newest known: {info['head']})",
        "size": size,
        **{name: f"{count:,}" for name, count in info["counts"].items()},
    }
    return "\n".join(f"{name:<9} {value}" for name, value in lines.items())
