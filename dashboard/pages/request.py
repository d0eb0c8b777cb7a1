"""One request: what it waited for, token by token, beside what GPUs and server did meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from dash import Dash, dcc, html

from loadlab.analysis.server_clock import server_parts
from loadlab.core.errors import UsageError
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.figures import Theme
from loadlab.figures.axes import quantity
from loadlab.figures.request_lane import STALL_FACTOR, STALL_MS, Gap, gaps, request_lane, spans, window_ns

from ..components import Column, chart, empty, facts, page, section, table
from ..links import run_path
from ..source import Source
from .run_requests import ended

PATH = "/run/<run_id>/request/<request>"
TITLE = "Request"
MOST_ROWS = 200
_NOTE = (
    f"A wait is called a stall when it is over {STALL_FACTOR:g} times the median wait of this answer and "
    f"over {STALL_MS:g} ms. An arrival may hold several tokens. The server's parts are lengths by its own "
    "clock, laid end to end from when the request was sent: they say how long, not when."
)
_WAITS = (
    Column("Arrival", "arrival"),
    Column("At", "at", help="Since the request was planned"),
    Column("Wait before it", "wait"),
    Column("", "stall", number=False),
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The request `worker-number` of a run. Raises NoDataError and UsageError."""
    run = source.run(query["run_id"])
    request = found(source, run.id, query["request"])
    arrivals = source.store.arrivals(run.id, request["worker"], request["seq"])
    readings = source.store.readings(run.id, *window_ns(request))
    waits = gaps(request, arrivals)
    return page(
        f"Request {request['worker']}-{request['seq']}",
        _answer(request, waits),
        html.P(
            [
                dcc.Link("All requests of the run", href=run_path(run.id, tab="requests")),
                " · ",
                *_neighbours(run.id, request),
            ]
        ),
        section("Timeline", _lane(request, arrivals, readings, theme, waits), note=_NOTE),
        section("Numbers", facts(_numbers(request))),
        about=f"run {run.id}, one request",
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page."""


def found(source: Source, run_id: str, name: str) -> dict[str, Any]:
    """The stored row of "worker-number". Raises UsageError and NoDataError."""
    worker, _, seq = name.partition("-")
    if not (worker.isdigit() and seq.isdigit() and len(name) < 20):
        raise UsageError(f"'{name}' names no request; it is a worker and a number, such as 0-17.")
    return dict(source.store.request_log.one(run_id, int(worker), int(seq)))


def _answer(request: Mapping[str, Any], waits: Sequence[Gap]) -> str:
    stalls = [wait for wait in waits if wait.stall]
    longest = max((wait.end_ms - wait.start_ms for wait in stalls), default=0.0)
    parts = [f"Ended as {ended(request)}"]
    if request["first_token_ns"] is not None and request["sent_ns"] is not None:
        ttft = (request["first_token_ns"] - request["sent_ns"]) / NS_PER_MS
        parts.append(f"first token after {quantity(ttft, 'ms')}")
    if request["output_tokens"] is not None:
        parts.append(f"{request['output_tokens']:,} tokens")
    if waits:
        parts.append(f"{len(stalls)} stalls, the longest {quantity(longest, 'ms')}" if stalls else "no stall")
    return ", ".join(parts) + "."


def _neighbours(run_id: str, request: Mapping[str, Any]) -> list[Any]:
    worker, seq = request["worker"], request["seq"]
    path = f"{run_path(run_id)}/request/{worker}-"
    before = [dcc.Link("‹ the one before", href=f"{path}{seq - 1}"), " · "] if seq else []
    return [*before, dcc.Link("the next of this worker ›", href=f"{path}{seq + 1}")]


def _lane(
    request: Mapping[str, Any],
    arrivals: Sequence[int],
    readings: pd.DataFrame,
    theme: Theme,
    waits: Sequence[Gap],
) -> Any:
    stretches = spans(request)
    if not stretches:
        return empty("This request was never sent, so it has no timeline. Its row below says why.")
    figure = request_lane(request, arrivals, readings, theme)
    told = ", ".join(
        f"{span.label.lower()} {quantity(span.end_ms - span.start_ms, 'ms')}" for span in stretches
    )
    return chart(
        "request",
        figure,
        f"Timeline of one request: {told}.",
        _waits(waits, arrivals),
        _rows(request, arrivals),
    )


def _waits(waits: Sequence[Gap], arrivals: Sequence[int]) -> Any:
    if not arrivals:
        return html.P("Nothing arrived.")
    rows = [
        {
            "arrival": f"{place:,}", "at": quantity(wait.end_ms, "ms"),
            "wait": quantity(wait.end_ms - wait.start_ms, "ms"), "stall": "stall" if wait.stall else "",
        }
        for place, wait in enumerate(waits[:MOST_ROWS], 2)
    ]  # fmt: skip
    cut = len(waits) - len(rows)
    more = [html.P(f"{cut:,} more are in the CSV.", className="note")] if cut > 0 else []
    return html.Div([table(_WAITS, rows, "Waits between arrivals"), *more])


def _rows(request: Mapping[str, Any], arrivals: Sequence[int]) -> list[dict[str, float]]:
    planned = float(request["planned_ns"])
    return [{"arrival": place, "t_ms": (at - planned) / NS_PER_MS} for place, at in enumerate(arrivals, 1)]


def _numbers(request: Mapping[str, Any]) -> list[tuple[str, Any]]:
    lengths = {"Waited for a place": "queued_ns", "Connecting": "connect_ns", "TLS": "tls_ns"}
    parts = server_parts(request["server_timings"])
    return [
        ("Planned", quantity(request["planned_ns"] / NS_PER_S, "s") + " after the run began"),
        ("Level", request["level"]),
        ("Warm-up", "yes" if request["warmup"] else None),
        ("HTTP status", request["status"]),
        ("Error", request["error_kind"]),
        ("Error in words", request["error_detail"]),
        ("Finish reason", request["finish_reason"]),
        ("Retries", request["retries"] or None),
        ("Connection", "reused" if request["reused"] else "new"),
        *((name, quantity(request[key] / NS_PER_MS, "ms")) for name, key in lengths.items() if request[key]),
        *((f"Server: {part}", quantity(length, "ms")) for part, length in parts.items()),
        ("Prompt tokens", request["prompt_tokens"]),
        ("of them cached", request["cached_tokens"]),
        ("Output tokens", request["output_tokens"]),
        ("of them reasoning", request["reasoning_tokens"]),
        ("Cap", request["max_tokens"] or None),
        ("Counted by", request["count_source"]),
        ("Arrivals", request["chunks"]),
    ]
