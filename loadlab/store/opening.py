"""Opening: from a URL to a store whose schema is the newest."""

from __future__ import annotations

from loadlab.store import engine, migration
from loadlab.store.store import Store
from loadlab.store.url import parse


def open(url: str, *, create: bool = True) -> Store:  # noqa: A001
    """Opens a database, creating an empty one and upgrading an older schema.

    With `create=False` a missing or empty database is a NoDataError. Raises StoreError for a URL that is not
    understood, a place that cannot be written or reached, and a schema newer than this loadlab.
    """
    parsed = parse(url)
    with engine.one_line_errors(parsed):
        engine.check_file(parsed, create=create)
        database = engine.make(parsed)
        try:
            found = migration.bring_to_head(parsed, database, create=create)
        except BaseException:
            database.dispose()
            raise
    return Store(database, found)
