"""The client's own error: measured against a server of known timing, and expected of a run at its load.

Knows calibration rows and what a sim's ledger says. An error is the client's quantile minus the server's own
quantile of the same requests, in ms; the network between them is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from loadlab.analysis.nouns import Signs
from loadlab.core.units import NS_PER_S, number

ERRORS = ("ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms", "itl_p99_ms")
_NONE = "not calibrated; run loadlab calibrate"


def expected_error(signs: Signs, processes: int, calibration: pd.DataFrame | None) -> dict[str, Any]:
    """The errors of the nearest calibrated load at or above this one, and the basis in words.

    `calibration` are the rows of this load host, as `store.calibration` gives them. Unknown errors are None.
    """
    if calibration is None or calibration.empty:
        return _unknown(_NONE)
    rows = calibration[calibration["processes"] == processes]
    if rows.empty:
        return _unknown(f"not calibrated with {processes} processes; run loadlab calibrate --processes")
    streams, events_per_s = signs.under_way, signs.events_per_s
    if streams is None or events_per_s is None:
        return _unknown("no request was measured")
    enough = rows[rows["streams"] >= streams]
    if enough.empty:
        most = rows["streams"].max()
        return _unknown(f"not calibrated beyond {most} streams; run loadlab calibrate --full")
    offered = enough["streams"] * enough["tokens_per_s"]
    near = enough[offered >= events_per_s].sort_values(["streams", "tokens_per_s"])
    if near.empty:
        most = number(offered.max())
        return _unknown(f"not calibrated beyond {most} tok/s; see loadlab calibrate --rates")
    return _known(near.iloc[0])


def _unknown(basis: str) -> dict[str, Any]:
    return {**dict.fromkeys(ERRORS), "basis": basis}


def _known(row: Any) -> dict[str, Any]:
    day = datetime.fromtimestamp(int(row["calibrated_at_ns"]) // NS_PER_S, UTC).date()
    basis = f"calibrated {day} at {row['streams']} streams × {row['tokens_per_s']:g} tok/s"
    return {**{name: float(row[name]) for name in ERRORS}, "basis": basis}


def measured_error(level: Mapping[str, Any], ledger: Mapping[str, Any]) -> dict[str, float | None]:
    """The four errors: the client's quantile minus the ledger's, None where either is unknown."""
    return {name: _minus(_stat(level, name), _stat(ledger, name)) for name in ERRORS}


def _stat(metrics: Mapping[str, Any], name: str) -> float | None:
    metric, stat, unit = name.split("_")
    value: float | None = metrics[f"{metric}_{unit}"][stat]
    return value


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
