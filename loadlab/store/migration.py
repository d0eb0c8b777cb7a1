"""Schema revisions: which one a database has, and the way from there to the newest.

Alembic is imported only when there is something to migrate; an up-to-date database opens without it.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL

from loadlab.core.errors import NoDataError, StoreError
from loadlab.store import engine, schema
from loadlab.store.url import shown

REVISIONS = ("0001",)  # oldest first, one linear history; a test compares it with migrations/versions
HEAD = REVISIONS[-1]
_LOCK = 7_001_001  # any number, the same for every loadlab that may migrate this PostgreSQL


def current(connection: sa.Connection) -> str | None:
    """The revision a database has; None when it holds no loadlab tables yet.

    Raises StoreError when it holds tables that would be in the way.
    """
    tables = set(sa.inspect(connection).get_table_names())
    if "alembic_version" not in tables:
        if taken := sorted(tables & set(schema.metadata.tables)):
            raise StoreError(
                f"database {shown(connection.engine.url)} has a table '{taken[0]}' that is not loadlab's; "
                "pass another --db."
            )
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def bring_to_head(url: URL, reader: sa.Engine, *, create: bool) -> str | None:
    """Creates or upgrades the schema where needed; returns the revision it had before.

    Raises StoreError for a newer or foreign schema, NoDataError for an empty database that must stay empty.
    """
    with reader.connect() as connection:
        found = current(connection)
    if found == HEAD:
        return found
    if found is not None and found not in REVISIONS:
        raise StoreError(
            f"database {shown(url)} has schema revision {found}, this loadlab knows up to {HEAD}; a newer "
            "loadlab or another program made it. Upgrade (pip install -U loadlab) or pass another --db."
        )
    if found is None and not create:
        raise NoDataError(f"database {shown(url)} is empty; `loadlab run` fills it, or pass another --db.")
    _upgrade(url)
    return found


def _upgrade(url: URL) -> None:
    migrator = engine.make(url, migrating=True)
    try:
        with migrator.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            upgrade_connection(connection)
    finally:
        migrator.dispose()


def upgrade_connection(connection: sa.Connection, revision: str = HEAD) -> None:
    """Runs the missing migrations inside the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)
