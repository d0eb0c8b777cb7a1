"""The page of regressions as a function, on a real store; and the same as a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_dashboard_pages import at as escaped
from typer.testing import CliRunner

from dashboard.source import Source
from loadlab import history
from loadlab.cli.app import app
from loadlab.store import Store
from tests.unit.history.conftest import nightly, opened, record

__all__ = ["nightly", "opened", "record"]
Nightly = Callable[..., list[str]]


def at(source: Source, path: str, search: str = "") -> str:
    """The page as JSON whose letters are their own."""
    return json.dumps(json.loads(escaped(source, path, search)), ensure_ascii=False)


@pytest.fixture
def source(opened: Store) -> Source:
    return Source(opened)


def test_an_empty_store_says_which_commands_fill_it(source: Source) -> None:
    text = at(source, "/regressions")
    assert "Detection needs ≥ 8 runs" in text
    assert "loadlab history check --rerun" in text
    assert "loadlab schedule emit cron" in text


def test_a_few_runs_are_drawn_and_counted(source: Source, nightly: Nightly) -> None:
    nightly(0, 3)
    text = at(source, "/regressions")
    assert "3 runs of one kind so far; detection needs ≥ 8." in text
    assert "figure-regressions" in text


def test_one_run_is_enough_for_a_page(source: Source, nightly: Nightly) -> None:
    nightly(0, 1)
    assert "1 run of one kind so far" in at(source, "/regressions")


def test_an_incident_stands_on_top_with_the_runs_around_it(
    source: Source, opened: Store, nightly: Nightly
) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2)
    (incident,) = history.check(opened).opened
    text = at(source, "/regressions")
    assert incident.id in text
    assert "/run/run-012" in text
    assert "c11..c12" in text
    detail = at(source, "/regressions", f"?incident={incident.id}")
    assert "git log c11..c12" in detail
    assert "/compare?runs=run-011,run-012" in detail
    opened.incidents.change(incident.id, "accepted", "ann", "bigger model")
    assert "None is open." in at(source, "/regressions")
    assert "accepted" in at(source, "/regressions", "?state=all")


def test_nothing_wrong_is_said_too(source: Source, nightly: Nightly) -> None:
    nightly(0, 12)
    assert "No incident; 3 series watched." in at(source, "/regressions")


def test_a_suspect_run_asks_to_be_repeated(source: Source, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 1, 1.3)
    assert "Run run-012 is suspect" in at(source, "/regressions")


def test_runs_that_came_since_are_on_the_page(source: Source, nightly: Nightly) -> None:
    nightly(0, 8)
    assert "3 series watched" in at(source, "/regressions")
    nightly(8, 1, scenario="rag")
    assert "rag, 8 users, tiny at lab" in at(source, "/regressions")


def test_the_url_chooses_the_kind_and_survives_nonsense(source: Source, nightly: Nightly) -> None:
    nightly(0, 8)
    nightly(20, 2, scenario="rag")
    assert "2 runs so far: detection needs" in at(source, "/regressions")
    text = at(source, "/regressions", "?kind=nonsense&over=run&incident=inc-0")
    assert "No incident 'inc-0' in this store." in text


def test_the_same_as_a_report(opened: Store, nightly: Nightly, tmp_path: Path) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2)
    history.check(opened)
    page = tmp_path / "regressions.html"
    done: Any = CliRunner().invoke(
        app,
        [
            "report",
            "regression",
            "--db",
            f"sqlite:///{tmp_path}/runs.db",
            "--html",
            str(page),
            "--markdown",
            "-",
        ],
    )
    assert done.exit_code == 0, done.output
    assert "git log c11..c12" in done.stdout
    assert "Time to first token p50" in done.stdout
    html = page.read_text(encoding="utf-8")
    assert 'id="series-0-0"' in html
    assert "https://" not in html.split("<script>")[0]


def test_a_report_without_runs_says_so(opened: Store, tmp_path: Path) -> None:
    done: Any = CliRunner().invoke(app, ["report", "regression", "--db", f"sqlite:///{tmp_path}/runs.db"])
    assert done.exit_code == 0
    assert "No series has the 8 runs" in done.stdout
