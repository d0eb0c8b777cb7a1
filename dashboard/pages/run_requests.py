"""The requests of a run, a hundred at a time: filtered and ordered in the store, through the URL."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from dash import dcc, html

from loadlab.analysis import Summary
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.figures.axes import quantity
from loadlab.store.request_log import ORDERS, Filter

from .. import url
from ..choosing import chips
from ..components import Column, empty, section, table
from ..links import request_path, run_path
from ..source import Source

KEYS = ("of", "end", "kind", "slow", "sort", "page")
ROWS = 100
_NEWEST = "planned"
_COLUMNS = (
    Column("Request", "request", number=False, help="Worker and number; opens its own timeline"),
    Column("Planned", "planned", help="Since the run began"),
    Column("Load", "level", number=False),
    Column("Ended", "ended", number=False, help="HTTP status, error kind or finish reason"),
    Column("TTFT", "ttft", help="Time to first token, from sending on"),
    Column("End to end", "e2e"),
    Column("Prompt", "prompt", help="Prompt tokens"),
    Column("Output", "tokens", help="Output tokens"),
)
_SORTED = {"planned": "planned", "ttft": "ttft", "e2e": "e2e", "tokens": "tokens", "ended": "status"}


def explorer(source: Source, summary: Summary, kept: Mapping[str, str | None]) -> list[Any]:
    """Filters, one page of requests and links to the others."""
    run_id = summary.run["id"]
    outcomes = source.store.request_log.outcomes(run_id)
    if outcomes.empty:
        return [section("Requests", empty("No request of this run is recorded."))]
    order, descending = _order(kept)
    of, at = _filter(summary, kept), _page(kept)
    rows, total = source.store.request_log.page(
        run_id, of, order, descending=descending, offset=(at - 1) * ROWS, limit=ROWS
    )
    return [section("Requests", _filters(summary, outcomes, kept), *_shown(summary, rows, total, at, kept))]


def _shown(
    summary: Summary, rows: pd.DataFrame, total: int, at: int, kept: Mapping[str, str | None]
) -> list[Any]:
    run_id = summary.run["id"]
    if rows.empty:
        clear = dcc.Link("Clear the filters", href=run_path(run_id, tab="requests"))
        return [empty("No request matches.", (), clear)]
    labels = {level.index: level.label for level in summary.levels}
    records = [{str(key): row[key] for key in row} for row in rows.to_dict("records")]
    first = (at - 1) * ROWS + 1
    told = f"{first:,} to {first + len(rows) - 1:,} of {total:,}."
    columns = [_head(column, run_id, kept) for column in _COLUMNS]
    drawn = table(columns, [_row(run_id, row, labels) for row in records], "Requests")
    return [html.P(told, className="note"), drawn, _pager(run_id, at, math.ceil(total / ROWS), kept)]


def _row(run_id: str, row: Mapping[str, Any], labels: Mapping[int, str]) -> dict[str, Any]:
    name = f"{row['worker']}-{row['seq']}"
    return {
        "request": dcc.Link(name, href=request_path(run_id, row["worker"], row["seq"])),
        "planned": quantity(row["planned_ns"] / NS_PER_S, "s"),
        "level": labels.get(row["level"], "") + (" (warm-up)" if row["warmup"] else ""),
        "ended": html.Span(ended(row), title=_text(row["error_detail"])),
        "ttft": _length(row["ttft_ns"]),
        "e2e": _length(row["e2e_ns"]),
        "prompt": _count(row["prompt_tokens"]),
        "tokens": _count(row["output_tokens"]),
    }


def ended(row: Mapping[str, Any]) -> str:
    """How a request ended in a few words: "200 length", "503 http_status", "timeout"."""
    status = _count(row["status"]) if not pd.isna(row["status"]) else ""
    return " ".join(filter(None, [status, _text(row["error_kind"]) or _text(row["finish_reason"])])) or "–"


def _text(value: Any) -> str | None:
    return None if value is None or value != value else str(value)


def _length(value: Any) -> str:
    return "–" if pd.isna(value) else quantity(float(value) / NS_PER_MS, "ms")


def _count(value: Any) -> str:
    return "–" if pd.isna(value) else f"{int(value):,}"


def _filter(summary: Summary, kept: Mapping[str, str | None]) -> Filter:
    level = kept.get("of") or ""
    end = kept.get("end") or ""
    return Filter(
        level=int(level) if level.isdigit() else None,
        outcome=end if end in ("ok", "failed") else "",
        kind=kept.get("kind") or "",
        status=int(end) if end.isdigit() else None,
        slower_than_ns=_slow(summary) if kept.get("slow") else None,
    )


def _slow(summary: Summary) -> int | None:
    """The highest p99 of TTFT among the levels: what lies above is slow by any of them."""
    known = [level.metrics["ttft_ms"]["p99"] for level in summary.levels]
    found = [value for value in known if value is not None]
    return int(max(found) * NS_PER_MS) if found else None


def _filters(summary: Summary, outcomes: pd.DataFrame, kept: Mapping[str, str | None]) -> html.Div:
    path, now = run_path(summary.run["id"]), {**kept, "page": None}
    kinds = [str(kind) for kind in outcomes["error_kind"].dropna().unique()]
    statuses = [f"{int(status)}" for status in sorted(outcomes["status"].dropna().unique())]
    levels = [("", "all"), *((str(level.index), level.label) for level in summary.levels)]
    ends = [
        ("", "any"),
        ("ok", "ok"),
        ("failed", "failed"),
        *((status, f"HTTP {status}") for status in statuses),
    ]
    rows = [
        chips("Load", path, now, "of", levels) if len(levels) > 2 else None,
        chips("Ended", path, now, "end", ends),
        chips("Error kind", path, now, "kind", [("", "any"), *((kind, kind) for kind in kinds)])
        if kinds
        else None,
        _slow_chips(summary, path, now),
    ]
    return html.Div(rows, className="choices")


def _slow_chips(summary: Summary, path: str, now: Mapping[str, str | None]) -> Any:
    limit = _slow(summary)
    if limit is None:
        return None
    words = f"above p99 ({quantity(limit / NS_PER_MS, 'ms')})"
    return chips("TTFT", path, now, "slow", [("", "any"), ("p99", words)])


def _order(kept: Mapping[str, str | None]) -> tuple[str, bool]:
    asked = kept.get("sort") or _NEWEST
    name = asked.removeprefix("-")
    return (name, asked.startswith("-")) if name in ORDERS else (_NEWEST, False)


def _head(column: Column, run_id: str, kept: Mapping[str, str | None]) -> Column:
    """A head that orders by its column, largest first; once more turns the order around."""
    name = _SORTED.get(column.key)
    if name is None:
        return column
    order, descending = _order(kept)
    mark = (" ↓" if descending else " ↑") if order == name else ""
    turned = name if order == name and descending else f"-{name}"
    link = dcc.Link(
        f"{column.head}{mark}", href=run_path(run_id) + url.write({**kept, "sort": turned, "page": None})
    )
    return Column(link, column.key, column.number, column.help)


def _page(kept: Mapping[str, str | None]) -> int:
    asked = kept.get("page") or ""
    return max(1, int(asked)) if asked.isdigit() and len(asked) < 9 else 1


def _pager(run_id: str, at: int, last: int, kept: Mapping[str, str | None]) -> Any:
    if last == 1:
        return None

    def to(spot: int, words: str) -> dcc.Link:
        return dcc.Link(words, href=run_path(run_id) + url.write({**kept, "page": str(spot)}))

    ends = [
        to(at - 1, "‹ before") if at > 1 else None,
        html.Strong(f"page {at:,} of {last:,}"),
        to(at + 1, "after ›") if at < last else None,
    ]
    return html.Nav(ends, className="pager", **{"aria-label": "Pages of requests"})
