"""What `loadlab calibrate` found, as a table of at most 100 columns and as plain values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from loadlab.analysis.accuracy import Calibration
from loadlab.reports.accuracy import signed

SHARED = (
    "Errors are the client's quantiles minus the server's own of the same requests. Both ran on this\n"
    "machine: what each takes from the other is in them."
)


def document(done: Sequence[Calibration]) -> dict[str, Any]:
    """Plain values for JSON; `stored` says whether runs will be judged by the level."""
    return {
        "note": SHARED.replace("\n", " "),
        "levels": [{**asdict(each), "stored": not each.trouble} for each in done],
    }


def _plain(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


_COLUMNS: tuple[tuple[str, str, Callable[[Calibration], str]], ...] = (
    ("", "streams", lambda each: f"{each.streams:,}"),
    ("each", "tok/s", lambda each: f"{each.tokens_per_s:g}"),
    ("", "requests", lambda each: f"{each.requests:,}"),
    ("TTFT", "p50", lambda each: signed(each.ttft_p50_ms)),
    ("error ms", "p99", lambda each: signed(each.ttft_p99_ms)),
    ("ITL", "p50", lambda each: signed(each.itl_p50_ms)),
    ("error ms", "p99", lambda each: signed(each.itl_p99_ms)),
    ("send lag", "p99 ms", lambda each: _plain(each.send_lag_p99_ms)),
    ("client", "CPU µs/tok", lambda each: _plain(each.cpu_us_per_token)),
    ("server late", "p99 ms", lambda each: _plain(each.server_late_p99_ms)),
)


def render(done: Sequence[Calibration]) -> str:
    """The table, what an error is, and what was not stored and why."""
    rows = [
        [group for group, _, _ in _COLUMNS],
        [head for _, head, _ in _COLUMNS],
        *([cell(each) for _, _, cell in _COLUMNS] for each in done),
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    table = ["  ".join(map(str.rjust, row, widths)).rstrip() for row in rows]
    return "\n".join([*table, "", SHARED, *_refused(done)]) + "\n"


def _refused(done: Sequence[Calibration]) -> list[str]:
    bad = [
        f"not stored: {each.streams} × {each.tokens_per_s:g} tok/s: {each.trouble}"
        for each in done
        if each.trouble
    ]
    return ["", *bad] if bad else []
