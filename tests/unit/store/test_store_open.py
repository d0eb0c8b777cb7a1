from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from loadlab import store
from loadlab.core.errors import NoDataError, StoreError
from loadlab.store import engine, migration, schema
from loadlab.store.url import parse, shown


def test_an_empty_database_is_created_and_opened_again(database_url: str) -> None:
    with store.open(database_url) as first:
        assert first.migrated_from is None
    with store.open(database_url) as second:
        assert second.migrated_from == migration.HEAD


def test_the_migrations_build_exactly_the_schema(database_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    store.open(database_url).close()
    database = sa.create_engine(parse(database_url))
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    database.dispose()


def test_the_known_revisions_are_those_of_the_folder() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(migration.__file__).parent / "migrations"))
    assert [script.revision for script in scripts.walk_revisions()][::-1] == list(migration.REVISIONS)


def test_a_newer_schema_is_refused_by_name(database_url: str) -> None:
    store.open(database_url).close()
    _execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"9999.*0001.*Upgrade"):
        store.open(database_url)


def test_an_older_schema_is_upgraded(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # There is one revision so far: pretend that the database stands before it, with its table of versions.
    monkeypatch.setattr(migration, "REVISIONS", ("0000", *migration.REVISIONS))
    _execute(database_url, "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)")
    with store.open(database_url, create=True) as opened:
        assert opened.info()["revision"] == migration.HEAD


def test_a_failed_migration_leaves_nothing_behind(database_url: str) -> None:
    url = parse(database_url)
    database = engine.make(url, migrating=True)
    with database.connect() as connection, connection.begin() as transaction:
        migration.upgrade_connection(connection)
        transaction.rollback()
    database.dispose()
    with pytest.raises(NoDataError):
        store.open(database_url, create=False)


def test_a_database_that_must_be_there_is_not_made(sqlite_url: str, tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="loadlab run"):
        store.open(sqlite_url, create=False)
    assert not list(tmp_path.iterdir())


def test_tables_of_another_program_are_not_touched(database_url: str) -> None:
    _execute(database_url, "CREATE TABLE run (x INTEGER)")
    with pytest.raises(StoreError, match="table 'run'"):
        store.open(database_url)


def test_a_directory_a_text_and_a_missing_folder_are_no_databases(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("this is a text that is longer than the header of a database\n" * 20)
    for name, said in {
        "": "is a directory",
        "notes.txt": "file is not a database",
        "missing/x.db": "is no directory",
    }.items():
        with pytest.raises(StoreError, match=said) as caught:
            store.open(f"sqlite:///{tmp_path}/{name}")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("mode", "said"), [(0o555, "is not writable"), (0o000, "Permission denied")])
def test_an_unwritable_place_is_named(mode: int, said: str) -> None:
    folder = Path(tempfile.mkdtemp())  # tmp_path lies in a folder that only its owner may enter
    folder.chmod(mode)
    try:
        answer = _as_a_mere_user(lambda: store.open(f"sqlite:///{folder}/x.db"))
    finally:
        folder.rmdir()
    assert said in answer
    assert str(folder) in answer
    assert "\n" not in answer


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("loadlab.db", "sqlite:///loadlab.db"),
        ("mysql://root@localhost/x", "'mysql' is not supported"),
        ("", "not a database URL"),
        ("postgresql://u:secret@h:notaport/x", "not a database URL"),
    ],
)
def test_a_url_that_is_not_understood_says_what_would_be(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as caught:
        store.open(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_an_unreachable_postgresql_is_one_line_without_the_password(scheme: str, free_port: int) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="is the server up") as caught:
        store.open(f"{scheme}://me:hunter2@127.0.0.1:{free_port}/lab?connect_timeout=2")
    assert f"postgresql://me:***@127.0.0.1:{free_port}/lab" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_driver_names_the_extra() -> None:
    # A fresh interpreter in which psycopg cannot be found, as in an installation without the extra.
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name: None if name == 'psycopg' else find(name)\n"
        "from loadlab import store\n"
        "store.open('postgresql://me:hunter2@localhost/lab')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'loadlab[postgres]'" in done.stderr.splitlines()[-1]
    assert "hunter2" not in done.stderr.splitlines()[-1]


def test_a_password_among_the_parameters_is_hidden_too() -> None:
    text = shown(parse("postgresql://me@h/lab?password=hunter2&sslmode=require"))
    assert text == "postgresql://me@h/lab?password=***&sslmode=require"


def test_sqlite_runs_in_wal_mode_with_foreign_keys(sqlite_url: str) -> None:
    store.open(sqlite_url).close()
    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()
    database = engine.make(parse(sqlite_url))
    with database.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 1
    database.dispose()


def test_an_up_to_date_database_opens_without_alembic(sqlite_url: str) -> None:
    store.open(sqlite_url).close()
    code = "import sys; from loadlab import store; store.open(sys.argv[1]); print('alembic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def _execute(url: str, statement: str) -> None:
    database = sa.create_engine(parse(url))
    with database.begin() as connection:
        connection.execute(sa.text(statement))
    database.dispose()


def _as_a_mere_user(action: Callable[[], object]) -> str:
    """What StoreError the action raises for a user who is not root (root may write anywhere)."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            action()
        except StoreError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as answer:
        return answer.read()
