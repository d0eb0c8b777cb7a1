"""`loadlab db`: what is in the database, and its schema brought up to date."""

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


def _described(info: dict[str, Any]) -> str:
    size = "unknown" if info["size_bytes"] is None else f"{info['size_bytes'] / 1e6:,.2f} MB"
    lines = {
        "database": info["url"],
        "schema": f"revision {info['revision']} (newest known: {info['head']})",
        "size": size,
        **{name: f"{count:,}" for name, count in info["counts"].items()},
    }
    return "\n".join(f"{name:<9} {value}" for name, value in lines.items())
