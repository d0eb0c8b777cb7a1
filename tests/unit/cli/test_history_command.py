"""`loadlab history` as its users call it: tables of 100 columns, JSON, exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loadlab import store
from loadlab.cli.app import app
from loadlab.store import Store
from tests.unit.history.conftest import nightly, opened, record

__all__ = ["nightly", "opened", "record"]
Nightly = Callable[..., list[str]]


@pytest.fixture
def call(opened: Store, tmp_path: Path) -> Callable[..., Any]:
    """A verb of history on that store."""

    def call(*words: str) -> Any:
        return CliRunner().invoke(app, ["history", *words, "--db", f"sqlite:///{tmp_path}/runs.db"])

    return call


def document(result: Any) -> Any:
    return json.loads(result.stdout)


def test_no_run_is_no_data_and_a_few_are_too_few(call: Any, nightly: Nightly) -> None:
    assert call("check").exit_code == 5
    nightly(0, 7)
    result = call("check")
    assert result.exit_code == 4
    assert "detection needs ≥ 8 VALID runs" in result.stdout


def test_runs_that_are_not_valid_are_said_aloud(call: Any, nightly: Nightly) -> None:
    nightly(0, 9, verdict="SUSPECT")
    result = call("check")
    assert result.exit_code == 4
    assert "9 levels left out, not VALID" in result.stdout
    assert call("series").exit_code != 0


def test_nothing_new_is_ok(call: Any, nightly: Nightly) -> None:
    nightly(0, 12)
    result = call("check", "--json")
    assert result.exit_code == 0
    check = document(result)["check"]
    assert (check["series"], check["long_enough"], check["opened"], check["suspects"]) == (3, 3, [], [])


def test_a_regression_ends_with_one_once(call: Any, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2)
    result = call("check")
    assert result.exit_code == 1
    assert "commits c11..c12" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert call("check").exit_code == 0


def test_a_suspect_run_is_not_judged_without_repeating_it(call: Any, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 1, 1.3)
    result = call("check")
    assert result.exit_code == 4
    assert "suspect run run-012" in result.stdout
    assert "--rerun" in result.stdout
    assert document(call("check", "--json"))["check"]["suspects"][0]["run"] == "run-012"


def test_listing_and_showing(call: Any, nightly: Nightly) -> None:
    assert "no incident" in call("list").output
    nightly(0, 12, environment={"server": {"driver": "570"}})
    nightly(12, 4, 1.2, environment={"server": {"driver": "580"}})
    call("check")
    listed = call("list")
    assert "open" in listed.stdout
    shown = call("show").stdout
    for words in ("git log c11..c12", "driver: 570 → 580", "loadlab compare run-011 run-012", "12 + 4"):
        assert words in shown
    assert max(len(line) for line in (listed.stdout + shown).splitlines()) <= 100
    (incident,) = document(call("list", "--json"))["incidents"]
    assert document(call("show", incident["id"], "--json"))["incident"] == incident


def test_what_is_watched(call: Any, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 6, 1.2)
    shown = call("series").stdout
    assert "chat, 8 users, tiny at lab (2 × H100)" in shown
    assert max(map(len, shown.splitlines())) <= 100
    series = document(call("series", "--metric", "ttft_ms.p50", "--json"))["series"]
    assert [each["metric"] for each in series] == ["ttft_ms.p50"]
    assert len(series[0]["runs"]) == 18
    (cut,) = series[0]["cuts"]
    assert (cut["first_run"], cut["strong"], cut["worse"]) == ("run-012", True, True)


def test_states_with_who_and_why(call: Any, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2)
    call("check")
    assert call("ack", "latest", "--why", "looking", "--by", "ann").exit_code == 0
    assert call("accept", "latest").exit_code == 2  # a reason is asked for
    call("accept", "latest", "--why", "bigger model", "--by", "ann")
    assert "no incident" in call("list").output
    call("reopen", "latest", "--by", "bob")
    call("fix", "latest", "--by", "bob", "--why", "rolled back")
    (incident,) = document(call("list", "--all", "--json"))["incidents"]
    assert incident["state"] == "fixed"
    assert [(each["state"], each["by"]) for each in incident["changes"]][1:] == [
        ("acknowledged", "ann"),
        ("accepted", "ann"),
        ("open", "bob"),
        ("fixed", "bob"),
    ]


def test_wrong_names_are_explained(call: Any, nightly: Nightly, tmp_path: Path) -> None:
    nightly(0, 2)
    assert call("show", "inc-9").exit_code != 0
    assert call("check", "--metric", "ttft.p50").exit_code != 0
    missing = CliRunner().invoke(app, ["history", "check", "--db", f"sqlite:///{tmp_path}/none.db"])
    assert missing.exit_code != 0
    with store.open(f"sqlite:///{tmp_path}/runs.db") as database:
        assert database.incidents.all() == []
