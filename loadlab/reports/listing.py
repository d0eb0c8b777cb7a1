"""The list of stored runs: a table of at most 100 columns, and the same as plain values for JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from loadlab.core.units import NS_PER_S
from loadlab.reports.text import WIDTH

_NARROWEST = 8
_COPIED = ("id", "scenario", "target", "url", "model", "label", "state", "verdict", "reasons")


def documents(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """One mapping per run of `store.runs()`; unknown is None, times are ISO 8601 in UTC."""
    return [_document(row) for row in runs.astype(object).to_dict("records")]


def _document(row: dict[Any, Any]) -> dict[str, Any]:
    return {
        **{name: _known(row[name]) for name in _COPIED},
        "started_at": _at(row["started_at_ns"], "%Y-%m-%dT%H:%M:%S+00:00"),
        "finished_at": _at(row["finished_at_ns"], "%Y-%m-%dT%H:%M:%S+00:00"),
        "levels": int(row["n_levels"]),
        "requests": int(row["n_requests"]),
        "failed": int(row["n_failed"]),
    }


def _known(value: Any) -> Any:
    return None if not isinstance(value, list) and pd.isna(value) else value


def _at(at_ns: Any, form: str) -> str | None:
    known = _known(at_ns)
    return None if known is None else datetime.fromtimestamp(int(known) // NS_PER_S, UTC).strftime(form)


_CELLS: dict[str, Callable[[dict[Any, Any]], str]] = {
    "id": lambda row: row["id"],
    "when (UTC)": lambda row: _at(row["started_at_ns"], "%m-%d %H:%M") or "",
    "scenario": lambda row: row["scenario"],
    "target": lambda row: row["target"],
    "model": lambda row: row["model"].rpartition("/")[2],
    "lv": lambda row: str(row["n_levels"]),
    "reqs": lambda row: str(row["n_requests"]),
    "fail": lambda row: str(row["n_failed"]),
    "state": lambda row: row["state"],
    "verdict": lambda row: _known(row["verdict"]) or "–",
}
_NUMBERS = {"lv", "reqs", "fail"}
_SHRINK = ("scenario", "target", "model")


def render(runs: pd.DataFrame) -> str:
    """One line per run under a head line, in the order given. Long names are cut, ids never."""
    rows = [[cell(row) for cell in _CELLS.values()] for row in runs.to_dict("records")]
    heads = list(_CELLS)
    widths = _narrowed([max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))])
    return "".join(f"{_line(row, widths)}\n" for row in (heads, *rows))


def _narrowed(widths: Sequence[int]) -> list[int]:
    """The widest of the names gives way, one character at a time, until the table fits."""
    narrowed, names = list(widths), [list(_CELLS).index(name) for name in _SHRINK]
    while sum(narrowed) + len(narrowed) - 1 > WIDTH:
        widest = max(names, key=lambda at: narrowed[at])
        if narrowed[widest] <= _NARROWEST:
            break
        narrowed[widest] -= 1
    return narrowed


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (_cell(*of) for of in zip(_CELLS, row, widths, strict=True))
    return " ".join(cells).rstrip()


def _cell(head: str, text: str, width: int) -> str:
    cut = text if len(text) <= width else f"{text[: width - 1]}…"
    return cut.rjust(width) if head in _NUMBERS else cut.ljust(width)
