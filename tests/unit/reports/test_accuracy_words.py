"""The expected error on paper: one line in a report, a table of a calibration."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import summaries

from loadlab.analysis.accuracy import ERRORS, Calibration
from loadlab.reports import accuracy, calibration, render

FOUND = {"ttft_p50_ms": 0.4321, "ttft_p99_ms": 4.321, "itl_p50_ms": -0.01, "itl_p99_ms": 12.3, "basis": "why"}
UNKNOWN = {**dict.fromkeys(ERRORS), "basis": "not calibrated; run loadlab calibrate"}
LEVEL = Calibration(1, 1000, 100.0, 12_345, 1_234_500, 0.4, 31.4, -0.011, 2.08, 0.12, 5.71, 1058.66)


def line(*levels: dict[str, Any]) -> str:
    return accuracy.words([summaries.level(index, accuracy=each) for index, each in enumerate(levels)])


def test_a_level_in_one_line() -> None:
    assert line(FOUND) == (
        "expected error: TTFT +0.432 ms p50 and +4.32 ms p99, ITL -0.010 ms p50 and +12 ms p99 (why)"
    )


def test_of_several_levels_the_worst_is_named_and_the_unknown_too() -> None:
    found = line({**FOUND, "ttft_p99_ms": 1.0}, FOUND, UNKNOWN)
    assert found.startswith("expected error at 2 users: TTFT +0.432 ms p50 and +4.32 ms p99")
    assert found.endswith("; 4 users: not calibrated; run loadlab calibrate")


def test_without_calibration_the_line_says_what_to_do() -> None:
    assert line(UNKNOWN, UNKNOWN) == "not calibrated; run loadlab calibrate"
    assert line() == ""


@pytest.mark.parametrize("name", ["text", "markdown"])
def test_reports_carry_the_line(name: str) -> None:
    given = summaries.summary(summaries.level(accuracy=UNKNOWN))
    assert "not calibrated; run loadlab calibrate" in render(name, given)
    assert json.loads(render("json", given))["levels"][0]["accuracy"] == UNKNOWN


def test_the_table_fits_a_terminal_and_says_what_was_refused() -> None:
    refused = replace(LEVEL, trouble="the server itself was late")
    text = calibration.render([replace(LEVEL, streams=1, ttft_p50_ms=None), refused])
    assert max(map(len, text.splitlines())) <= 100
    assert text.splitlines()[3].split() == [
        "1,000", "100", "12,345", "+0.400", "+31", "-0.011", "+2.08", "0.12", "5.71", "1,058.66",
    ]  # fmt: skip
    assert "–" in text.splitlines()[2]
    assert "server and client" in calibration.SHARED or "this\nmachine" in calibration.SHARED
    assert text.endswith("\nnot stored: 1000 × 100 tok/s: the server itself was late\n")
    assert "not stored" not in calibration.render([LEVEL])


def test_the_document_says_what_was_stored() -> None:
    levels = calibration.document([LEVEL, replace(LEVEL, trouble="late")])["levels"]
    assert [level["stored"] for level in levels] == [True, False]
    assert levels[0]["ttft_p99_ms"] == 31.4
