"""docs/metrics.md says what the registry and the rules say."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadlab.analysis.verdict import LEVEL_RULES, RUN_RULES
from loadlab.core.metrics import METRICS
from loadlab.reports import docs


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs/metrics.md").read_text(encoding="utf-8")


def test_the_page_is_up_to_date(page: str) -> None:
    assert docs.rewritten(page) == page, "run: python -m loadlab.reports.docs docs/metrics.md"


def test_every_metric_is_defined_with_formula_unit_and_direction(page: str) -> None:
    for metric in METRICS.values():
        entry = page.partition(f"### `{metric.name}`: ")[2].partition("###")[0]
        assert f"    {metric.formula}\n" in entry
        assert f"\n{metric.unit} · one per {metric.per}" in entry
        assert f"{metric.better} is better" in entry


def test_what_stands_outside_the_markers_is_kept() -> None:
    page = f"before\n{docs.BEGIN}\nstale words\n{docs.END}\nafter\n"
    found = docs.rewritten(page)
    assert found.startswith("before\n")
    assert found.endswith(f"{docs.END}\nafter\n")
    assert "stale words" not in found


def test_every_rule_has_its_row_with_limit_and_reason(page: str) -> None:
    verdicts = page.partition("## The verdict")[2]
    for rule in (*LEVEL_RULES, *RUN_RULES):
        assert f"\n| {rule.verdict} | {rule.what} | {rule.limit} | {rule.why} |" in verdicts
    assert verdicts.count("\n| INVALID ") + verdicts.count("\n| SUSPECT ") == len(LEVEL_RULES) + len(
        RUN_RULES
    )


def test_links_between_pages_lead_somewhere(repository: Path) -> None:
    for name in ("metrics.md", "glossary.md"):
        text = (repository / "docs" / name).read_text(encoding="utf-8")
        for target in (part.partition(")")[0].partition("#")[0] for part in text.split("](")[1:]):
            assert (repository / "docs" / target).is_file(), f"{name} links to {target}"
