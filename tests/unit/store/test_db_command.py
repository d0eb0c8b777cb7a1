from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from loadlab import store
from loadlab.cli.db import app
from loadlab.core.errors import NoDataError
from loadlab.store.migration import HEAD

run = CliRunner().invoke


def test_migrate_makes_a_database_once(sqlite_url: str) -> None:
    first = run(app, ["migrate", "--db", sqlite_url])
    assert first.exit_code == 0
    assert f"from empty to {HEAD}" in first.stderr
    second = run(app, ["migrate", "--db", sqlite_url, "--json"])
    assert second.stderr == ""
    assert json.loads(second.stdout)["migrated_from"] == HEAD


def test_info_says_where_and_how_much(sqlite_url: str) -> None:
    store.open(sqlite_url).close()
    said = run(app, ["info", "--db", sqlite_url]).stdout
    assert sqlite_url in said
    assert f"revision {HEAD}" in said
    document = json.loads(run(app, ["info", "--db", sqlite_url, "--json"]).stdout)
    assert document["schema"] == 1
    assert document["store"]["counts"]["request"] == 0


def test_info_takes_the_database_of_the_environment(sqlite_url: str) -> None:
    store.open(sqlite_url).close()
    assert sqlite_url in run(app, ["info"], env={"LOADLAB_DB": sqlite_url}).stdout


def test_info_makes_no_database(sqlite_url: str) -> None:
    with pytest.raises(NoDataError):
        run(app, ["info", "--db", sqlite_url], catch_exceptions=False)


@pytest.mark.postgres
def test_info_never_shows_a_password(empty_postgres_url: str) -> None:
    url = empty_postgres_url.replace("postgres@", "postgres:hunter2@", 1)  # this server trusts everyone
    assert run(app, ["migrate", "--db", url]).exit_code == 0
    shown = run(app, ["info", "--db", url])
    assert "postgres:***@" in shown.stdout
    assert "hunter2" not in shown.output


def test_the_verb_is_light_to_import() -> None:
    code = "import sys, loadlab.cli.db; print({'sqlalchemy', 'pandas', 'alembic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
