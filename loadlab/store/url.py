"""Database URLs: which backends there are, how a URL is read and how it is shown without its password."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from loadlab.core.errors import StoreError

_ALIASES = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_SECRETS = ("password", "sslpassword")


def parse(text: str) -> URL:
    """The URL with its driver filled in. Raises StoreError for another backend or a missing driver."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as error:
        # The text may hold a password that could not be told apart, so a text with a scheme is not repeated.
        said = "The database URL" if "://" in text else f"'{text}'"
        hint = f"; for a SQLite file write sqlite:///{text}" if "://" not in text else ""
        raise StoreError(f"{said} is not a database URL{hint}. {_known()}") from error
    backend = url.drivername.partition("+")[0]
    if backend not in _ALIASES:
        raise StoreError(f"database '{backend}' is not supported. {_known()}")
    if backend != "sqlite" and find_spec("psycopg") is None:
        raise StoreError(
            f"{shown(url)} needs the PostgreSQL driver, which is missing: pip install 'loadlab[postgres]'."
        )
    return url.set(drivername=_ALIASES[backend])


def shown(url: URL) -> str:
    """The URL for people: the password, also one among the parameters, is replaced by ***."""
    hidden = {key: "***" for key in _SECRETS if key in url.query}
    text = url.set(drivername=url.drivername.partition("+")[0])
    return text.update_query_dict(hidden).render_as_string(hide_password=True).replace("%2A", "*")


def sqlite_file(url: URL) -> Path | None:
    """The file behind a SQLite URL; None for PostgreSQL and for a database in memory."""
    if not url.drivername.startswith("sqlite") or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def _known() -> str:
    return "Use sqlite:///FILE.db or postgresql://USER@HOST:PORT/NAME."
