"""The directions of design hold, and what is asked for little imports little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from tests.rooms.contract import RoomsContract

HEAVY = ("alembic", "dash", "gevent", "locust", "numpy", "pandas", "plotly", "sqlalchemy", "torch")
PATCHING = ("gevent", "locust")


def imported(code: str, names: tuple[str, ...]) -> list[str]:
    """Which of `names` a fresh Python has imported after `code`."""
    probe = f"{code}\nimport json, sys\nprint(json.dumps([n for n in {names!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd="/")
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_the_contracts_are_kept(repository: Path) -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program], cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_an_import_that_no_line_allows_breaks_the_contract() -> None:
    graph = grimp.ImportGraph()
    for module in ("loadlab.store.rows", "loadlab.core.nouns", "loadlab.analysis.curve", "dashboard.app"):
        graph.add_module(module)
    graph.add_import(importer="loadlab.store.rows", imported="loadlab.core.nouns")
    graph.add_import(importer="loadlab.store.rows", imported="loadlab.analysis.curve")
    graph.add_import(importer="dashboard.app", imported="loadlab.core.nouns")
    contract = RoomsContract("rooms", {}, {"rooms": ["core:", "store: core", "analysis: core"]})
    found = contract.check(graph, verbose=False)
    assert not found.kept
    assert found.metadata["strange"] == [
        "dashboard.app imports loadlab.core.nouns",  # a room without a line may import nothing
        "loadlab.store.rows imports loadlab.analysis.curve",
    ]


@pytest.mark.parametrize(
    "modules",
    ["loadlab.analysis, loadlab.reports, loadlab.figures", "loadlab.store, loadlab.pricing", "dashboard"],
)
def test_what_reads_and_draws_does_not_patch_the_process(modules: str) -> None:
    assert imported(f"import {modules}", PATCHING) == []


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_is_light(arguments: list[str]) -> None:
    code = f"""
import sys
from loadlab.cli import main
sys.argv = ["loadlab", *{arguments!r}]
try:
    main()
except SystemExit as end:
    assert end.code == 0
else:
    raise AssertionError("--help did not end the program")
"""
    assert imported(code, HEAVY) == []


def test_an_unknown_verb_is_a_usage_error() -> None:
    done = subprocess.run([Path(sys.executable).with_name("loadlab"), "rum"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "rum" in done.stderr
