"""The JSON document that other programs build on, and the Markdown table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import summaries

from loadlab.analysis import Summary
from loadlab.analysis.cost import KEYS
from loadlab.core.errors import UnknownNameError
from loadlab.reports import render
from loadlab.reports.as_json import document

METRIC_KEYS = {"n", "mean", "p50", "p90", "p95", "p99", "max"}


def test_exact_keys() -> None:
    found = json.loads(render("json", summaries.SUMMARIES["healthy sweep"]))
    assert set(found) == {"schema", "run", "batch", "levels", "notes"}
    assert found["schema"] == 1
    assert set(found["run"]) == {
        "id", "verdict", "reasons", "state", "scenario", "target", "url", "model", "seed", "started_at",
        "finished_at",
    }  # fmt: skip
    level = found["levels"][0]
    assert set(level) == {
        "level", "offered", "requests", "metrics", "rates", "cost", "lengths", "accuracy", "hardware",
        "window_s", "verdict", "reasons", "repeat", "ended", "few_samples",
    }  # fmt: skip
    assert set(level["requests"]) == {"sent", "ok", "failed", "errors", "warmup"}
    assert set(level["metrics"]) == set(summaries.METRICS)
    assert {frozenset(stats) for stats in level["metrics"].values()} == {frozenset(METRIC_KEYS)}
    assert set(level["rates"]) == {"requests_per_s", "output_tokens_per_s", "total_tokens_per_s"}
    assert set(level["cost"]) == set(KEYS)


def test_values_by_hand() -> None:
    found = document(summaries.summary(summaries.level(2, value=12.5), notes=("a note",)))
    assert found["run"]["started_at"] == "2026-11-21T10:17:10.123+00:00"
    assert found["run"]["finished_at"] == "2026-11-21T10:17:20.000+00:00"
    assert found["levels"][0]["offered"] == {
        "users": 4, "arrivals": "closed", "requests": 96, "warmup_s": 0.0,
    }  # fmt: skip
    assert found["levels"][0]["metrics"]["ttft_ms"]["p99"] == 12.5
    assert found["notes"] == ["a note"]


def test_unknown_is_null() -> None:
    found = json.loads(render("json", summaries.SUMMARIES["interrupted"]))
    assert found["run"]["finished_at"] is None
    assert found["levels"][1]["metrics"]["ttft_ms"] == {"n": 0, **dict.fromkeys(METRIC_KEYS - {"n"})}
    assert found["levels"][1]["cost"]["usd"] is None


@pytest.mark.parametrize("given", summaries.SUMMARIES.values(), ids=summaries.SUMMARIES)
def test_the_document_holds_plain_values_only(given: Summary) -> None:
    assert {type(value) for value in _leaves(document(given))} <= {str, int, float, type(None)}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from _leaves(child)
    else:
        yield value


def test_nan_is_refused_rather_than_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        render("json", summaries.summary(summaries.level(value=float("nan"))))


def test_markdown_has_a_row_per_level_and_says_what_to_mind() -> None:
    text = render(
        "markdown",
        summaries.summary(
            summaries.level(0), summaries.level(3), verdict="SUSPECT", reasons=["a reason"], notes=("a note",)
        ),
    )
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith("### SUSPECT: chat on smollm2-135m\n\n- **a reason**\n")
    assert [row.split(" | ")[0] for row in rows] == ["| offered", "| :--", "| 1 user", "| 8 users"]
    assert len({row.count("|") for row in rows}) == 1
    assert "- a note\n- cost: hour price" in text


def test_markdown_takes_names_as_words() -> None:
    given = summaries.elsewhere(summaries.summary(summaries.level()), model="a|b](http://x)\n# big *bold*")
    assert "on a\\|b\\](http://x) # big \\*bold\\*\n" in render("markdown", given)


def test_an_unknown_report_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'markdown'"):
        render("markdwon", summaries.summary())
