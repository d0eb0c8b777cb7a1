"""The terminal summary: what stands where, and that it fits a terminal whatever happened."""

from __future__ import annotations

import pytest
import summaries

from loadlab.analysis import Summary
from loadlab.reports import REPORTS, render
from loadlab.reports.table import cell, count, money


def lines(given: Summary) -> list[str]:
    return render("text", given).splitlines()


@pytest.mark.parametrize("given", summaries.SUMMARIES.values(), ids=summaries.SUMMARIES)
def test_never_wider_than_a_terminal_and_always_with_the_next_step(given: Summary) -> None:
    text = lines(given)
    assert max(map(len, text)) <= 100
    assert text[0].startswith(given.run["verdict"])
    assert text[-1].startswith("next      loadlab runs show 20261121-101010-abcd   ·   loadlab dash")


def test_a_healthy_level_by_hand() -> None:
    assert render("text", summaries.summary(summaries.level(3, value=1234.5))) == (
        "VALID\n"
        "\n"
        "scenario  chat · seed 7 · 2026-11-21 10:17:10 UTC\n"
        "endpoint  local · smollm2-135m · http://127.0.0.1:8000/v1\n"
        "\n"
        "           requests              TTFT ms        ITL ms  E2E ms                output\n"
        "offered  ok  failed    p50    p95    p99    p50    p99     p95  req/s  tok/s  $/Mtok\n"
        "8 users  96       0  1,234  1,234  1,234  1,234  1,234   1,234  1,234  1,234  $0.240\n"
        "\n"
        "cost      $0.00120 · hour price cpu-hour $0.0900/h × 12.3 s (2 vCPU, assumed)\n"
        "\n"
        "run       20261121-101010-abcd\n"
        "next      loadlab runs show 20261121-101010-abcd   ·   loadlab dash\n"
    )


def test_first_line_has_the_verdict_and_the_gravest_reason() -> None:
    text = lines(summaries.SUMMARIES["interrupted"])
    assert text[0] == "INVALID  2 users: no request succeeded"
    assert text[1] == "         interrupted: 1 of 4 levels complete"


def test_every_level_has_its_line() -> None:
    text = lines(summaries.SUMMARIES["healthy sweep"])
    offered = [line[:8].strip() for line in text if "user" in line]
    assert offered == ["1 user", "2 users", "4 users", "8 users", "16 users", "32 users"]


def test_errors_are_counted_by_kind_with_an_example() -> None:
    text = lines(summaries.SUMMARIES["all failed"])
    assert "errors    28 connect: connection refused by 127.0.0.1:8000" in text
    assert "          2 timeout" in text
    assert "cost      unpriced: no price is known for this endpoint" in text


def test_unknown_numbers_are_dashes_and_never_nan_or_none() -> None:
    text = render("text", summaries.SUMMARIES["all failed"])
    assert "–" in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_words_of_a_server_cannot_drive_the_terminal() -> None:
    hostile = summaries.failed(examples={"connect": "\x1b[2Jgone\r\n\x07now"})
    text = render("text", summaries.summary(hostile, notes=("\x1b]0;title\x07",)))
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    assert "28 connect: [2Jgone now" in text


def test_costs_of_a_sweep_are_added_and_unpriced_levels_are_not_zero() -> None:
    basis = "hour price cpu-hour $0.0900/h × 12.3 s (2 vCPU, assumed)"
    priced = [summaries.level(index) for index in range(3)]
    assert f"cost      $0.00360 · {basis}; likewise 2 levels" in lines(summaries.summary(*priced))
    mixed = summaries.summary(summaries.failed(), summaries.level(1))
    assert f"cost      $0.00120 · {basis}; unknown for 1 level" in lines(mixed)
    assert not any("$0" in line for line in lines(summaries.SUMMARIES["all failed"]))


def test_every_report_renders_every_summary() -> None:
    for name in REPORTS:
        for given in summaries.SUMMARIES.values():
            assert render(name, given).endswith("\n")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"), (0, "0"), (0.0, "0"), (4.2e-05, "4e-05"), (0.00123, "0.0012"), (0.0123, "0.0123"),
        (1, "1.00"), (9.996, "10.0"), (999.6, "1,000"), (99.94, "99.9"), (1234.5, "1,234"),
        (99_999.4, "99,999"), (99_999.5, "100.0k"), (1_234_567, "1.23M"), (9.9e8, "990M"), (1.5e9, "1.50G"),
    ],
)  # fmt: skip
def test_cells(value: float | None, written: str) -> None:
    assert cell(value) == written


def test_no_cell_is_wider_than_its_column() -> None:
    mantissas = (1, 1.234, 9.9949, 9.9996)
    values = [mantissa * 10**exponent for exponent in range(-9, 11) for mantissa in mantissas]
    assert max(len(cell(value)) for value in values) <= 6
    assert max(len(money(value)) for value in values) <= 7


def test_counts_are_whole_numbers() -> None:
    assert [count(n) for n in (0, 1, 96, 99_999, 100_000)] == ["0", "1", "96", "99,999", "100k"]
