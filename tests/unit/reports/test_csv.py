"""Request rows as CSV: whole numbers stay whole, unknown stays empty, nothing runs in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loadlab.reports.csv import render
from loadlab.store import schema

MS = 1_000_000
_TEXT = ("run_id", "error_kind", "error_detail", "finish_reason", "count_source")


def row(**changes: Any) -> dict[str, Any]:
    return {
        "run_id": "run-1", "worker": 0, "seq": 0, "level": 0, "warmup": False, "planned_ns": 0,
        "sent_ns": 2 * MS, "connect_ns": 1 * MS, "queued_ns": 0, "tls_ns": 0, "reused": False, "retries": 0,
        "first_token_ns": 52 * MS, "last_token_ns": 72 * MS, "done_ns": 80 * MS, "status": 200,
        "finish_reason": "stop", "max_tokens": 100, "prompt_tokens": 10, "output_tokens": 3, "chunks": 3,
        "count_source": "usage", **changes,
    }  # fmt: skip


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    names = [column.name for column in schema.request.columns]
    made = pd.DataFrame(list(rows), columns=names)
    numbers = [name for name in names if name not in (*_TEXT, "warmup", "reused")]
    return made.astype({**dict.fromkeys(numbers, np.float64), **dict.fromkeys(_TEXT, "str")})


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_stored_columns_then_metrics_with_units_in_their_names() -> None:
    text = render(frame(row()))
    names = text.splitlines()[0].split(",")
    assert names[: len(schema.request.columns)] == [column.name for column in schema.request.columns]
    assert names[len(schema.request.columns) :] == [
        "ttft_ms", "ttft_planned_ms", "tpot_ms", "e2e_ms", "e2e_planned_ms", "send_lag_ms", "connect_ms",
    ]  # fmt: skip


def test_a_request_by_hand() -> None:
    found = read(render(frame(row())))[0]
    assert found["first_token_ns"] == "52000000"
    assert found["output_tokens"] == "3"
    assert found["cost_nano_usd"] == ""
    assert found["error_kind"] == ""
    assert (found["ttft_ms"], found["tpot_ms"], found["e2e_ms"]) == ("50.0", "10.0", "78.0")
    assert (found["send_lag_ms"], found["connect_ms"]) == ("1.0", "1.0")


def test_large_offsets_are_not_rounded() -> None:
    planned = 8_000_000_000_000_123
    assert read(render(frame(row(planned_ns=planned))))[0]["planned_ns"] == str(planned)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_formula_is_disarmed(start: str) -> None:
    detail = f'{start}HYPERLINK("http://evil","click")'
    text = io.StringIO(render(frame(row(error_detail=detail))), newline="")
    found = next(csv.DictReader(text))
    assert found["error_detail"] == f"'{detail}"


def test_words_commas_and_quotes_survive() -> None:
    detail = 'got "429", then\nnothing = 0'
    assert read(render(frame(row(error_detail=detail))))[0]["error_detail"] == detail


def test_negative_numbers_are_numbers_and_not_formulas() -> None:
    found = read(render(frame(row(planned_ns=5 * MS))))[0]
    assert found["send_lag_ms"] == "-4.0"


def test_no_request_is_a_head_line() -> None:
    assert render(frame()).count("\n") == 1
