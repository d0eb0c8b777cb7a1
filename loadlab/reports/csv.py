"""Rows as CSV. Of requests: the columns as stored and, after them, the metrics of the registry in ms.

A cell that a spreadsheet would run as a formula gets an apostrophe in front. Unknown is an empty cell.
"""

from __future__ import annotations

import pandas as pd

from loadlab.analysis.samples import request_metrics

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def render(requests: pd.DataFrame) -> str:
    """One line per request with a head line; offsets in ns from the run's anchor, metrics in ms."""
    metrics = request_metrics(requests).round(6)
    stored = requests.apply(_whole if len(requests) else lambda values: values)
    return rows(pd.concat([stored, metrics], axis=1))


def rows(frame: pd.DataFrame) -> str:
    """Any frame: a head line, then one line per row."""
    safe = frame.apply(_safe) if len(frame) else frame
    return str(safe.to_csv(index=False, lineterminator="\n"))


def table_csv(rows: pd.DataFrame) -> str:
    """Any table with a head line, every digit of its numbers."""
    return str(rows.apply(_safe).to_csv(index=False, lineterminator="\n"))


def _whole(values: pd.Series) -> pd.Series:
    """Counts and ns are floats in the frame because some are unknown; as integers they are written whole."""
    if not pd.api.types.is_float_dtype(values) or not (values.dropna() % 1 == 0).all():
        return values
    return values.astype("Int64")


def _safe(values: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map(_inert, na_action="ignore")


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
