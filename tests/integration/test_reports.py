"""Reports of runs and sweeps: one list of parts as Markdown, HTML and JSON; whole and broken runs alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dashboard_data as made
import pytest
from typer.testing import CliRunner

import loadlab.store
from loadlab.cli.app import app
from loadlab.figures.parts import Chart, Code, Column, Heading, Table, verdict
from loadlab.figures.slo import Limit
from loadlab.reports import markdown_parts
from loadlab.reports.run_report import run_report
from loadlab.reports.sweep_report import sweep_report
from loadlab.store import Store

LIMITS = (Limit("ttft_ms_p95", 500.0),)
GOOD, FLAWED, FAILED, POINT = "20261121-good", "20261120-flawed", "20261119-failed", "20261118-point"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('reports')}/test.db"
    with loadlab.store.open(url) as store:
        made.fill(
            store,
            made.sweep(GOOD),
            made.sweep(FLAWED, failing=0.3, priced=False, age_s=100),
            made.sweep(FAILED, failing=1.0, age_s=200),
            made.sweep(POINT, users=(4,), age_s=300),
        )
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with loadlab.store.open(url) as store:
        yield store


def test_a_run_is_told_with_its_numbers(store: Store) -> None:
    report = run_report(store, GOOD)
    text = report.markdown()
    assert text.startswith(f"# Run {GOOD}\n")
    assert "holds TTFT p95 ≤ 500 ms up to 8 users" in text
    assert "| 8 users | 48 |" in text
    assert "n = 288 answers" in report.footnote
    assert "cpu-hour as of 2026-11-01" in report.footnote
    charts = [part.name for part in report.parts if isinstance(part, Chart)]
    assert charts == ["over-time", "ttft-ms", "itl-ms", "e2e-ms", "readings"]
    assert json.loads(report.json())["run"]["id"] == GOOD


def test_a_run_that_failed_entirely_still_has_a_report(store: Store) -> None:
    report = run_report(store, FAILED)
    assert "No request succeeded at 32 users" in report.markdown()
    assert "288 of 288 requests failed" in report.markdown()
    assert "<h1>" in report.html()


def test_sweeps_lie_side_by_side(store: Store) -> None:
    report = sweep_report(store, [GOOD, FLAWED], LIMITS)
    assert [run["holds"] for run in report.values["runs"]] == ["8 users", "8 users"]
    assert report.markdown().count("holds TTFT p95 ≤ 500 ms up to 8 users") == 2
    levels = next(part for part in report.parts if isinstance(part, Table))
    assert len(levels.rows) == 12


def test_one_level_and_no_slo_are_enough(store: Store) -> None:
    assert "At the SLO" not in sweep_report(store, [POINT], ()).markdown()


def test_the_command_writes_what_it_is_asked_for(url: str, tmp_path: Path) -> None:
    html, text = tmp_path / "run.html", tmp_path / "run.md"
    given = ["report", "run", GOOD, "--html", str(html), "--markdown", str(text), "--json", "--db", url]
    done = CliRunner().invoke(app, given)
    assert json.loads(done.stdout)["schema"] == 1
    assert html.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert text.read_text(encoding="utf-8").startswith("# Run")
    assert "wrote" in done.stderr


def test_without_a_file_markdown_goes_to_stdout(url: str) -> None:
    done = CliRunner().invoke(app, ["report", "sweep", GOOD, FAILED, "--slo", "none", "--db", url])
    assert done.stdout.startswith("# Throughput against latency: smollm2-135m")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--theme", "blue"], "theme 'blue' is not known"),
        (["--html", "/no/such/place.html"], "cannot write '/no/such/place.html'"),
        (["--markdown", "-", "--json"], "both want stdout"),
    ],
)
def test_what_cannot_be_done_is_said(url: str, more: list[str], words: str) -> None:
    done = CliRunner().invoke(app, ["report", "run", GOOD, "--db", url, *more])
    assert words in str(done.exception)


def test_words_of_others_do_not_become_markup() -> None:
    table = Table("T", [Column("a", number=False)], [["x | <b> `y`"], [Code("a`|b")], [verdict("VALID")]])
    text = markdown_parts.render("A *title*", [Heading("H"), table], "foot")
    assert "# A \\*title\\*" in text
    assert "| x \\| \\<b\\> \\`y\\` |" in text
    assert "| `a'¦b` |" in text
    assert "| **✓ VALID** |" in text
