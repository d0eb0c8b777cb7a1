"""Connections: one engine per store, SQLite's settings, and database errors turned into one line.

In SQLite, WAL mode lets readers and the one writer pass each other; with synchronous=NORMAL a killed process
loses nothing it had committed, and a power cut may lose the last commits but never the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL

from loadlab.core.errors import NoDataError, StoreError
from loadlab.store.url import shown, sqlite_file

BUSY_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 5


def make(url: URL, *, migrating: bool = False) -> sa.Engine:
    """An engine for the URL; `migrating` takes SQLite's write lock at once and leaves foreign keys unchecked.

    Alembic changes a SQLite table by copying and dropping it, and dropping cascades where keys are checked.
    """
    if url.drivername != "sqlite":
        timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT_S}
        return sa.create_engine(url, connect_args=timeout, pool_pre_ping=True)
    # With isolation_level None Python's sqlite3 leaves transactions to us; its own would not cover DDL.
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_S, "isolation_level": None})
    sa.event.listen(engine, "connect", _prepare_for_migration if migrating else _prepare)
    sa.event.listen(engine, "begin", _begin_immediate if migrating else _begin)
    return engine


def check_file(url: URL, *, create: bool) -> None:
    """Raises StoreError for a SQLite file that cannot be written, NoDataError for one that must be there."""
    path = sqlite_file(url)
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir():
        raise StoreError(f"{path} is a directory; give a file, such as {path / 'loadlab.db'}.")
    if not folder.is_dir():
        raise StoreError(
            f"{folder}, where {path.name} should be, is no directory; create it or pass another --db."
        )
    if not path.exists() and not create:
        raise NoDataError(f"there is no database at {path}; `loadlab run` makes one, or pass another --db.")
    for place in filter(Path.exists, (path, folder)):
        # SQLite writes its log beside the file, so it needs the folder as well.
        if not os.access(place, os.W_OK):
            raise StoreError(f"{place} is not writable by this user; change that or pass another --db.")


@contextmanager
def one_line_errors(url: URL) -> Iterator[None]:
    """Turns whatever the database says into a StoreError of one line, without a password."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, sqlite3.Error, ImportError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        said = next(filter(None, map(str.strip, str(cause).splitlines())), type(cause).__name__)
        if url.password:
            said = said.replace(str(url.password), "***")
        raise StoreError(f"database {shown(url)}: {said}{_advice(said)}") from error


def _advice(said: str) -> str:
    for symptom, advice in _ADVICE.items():
        if symptom in said:
            return f" ({advice})"
    return ""


_ADVICE = {
    "not a database": "it is a file of another kind; pass another --db",
    "connection failed": "is the server up, and are host, port, user and database right?",
    "connection timeout": "is the server up, and are host and port right?",
    "database is locked": f"another process has been writing for more than {BUSY_TIMEOUT_S} s",
    "disk is full": "free some space; everything committed so far is kept",
}


def _prepare(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")


def _prepare_for_migration(connection: Any, _record: Any) -> None:
    # The mode stays with the file, so it is set here once and not by every connection.
    connection.execute("PRAGMA journal_mode=WAL")


def _begin(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
