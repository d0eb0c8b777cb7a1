"""The client's own error: measured against a server of known timing, and expected of a run at its load.

Knows a level's numbers, what the server's ledger says and calibration rows. An error is the client's quantile
minus the server's own quantile of the same requests, in ms; the way between the two is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from loadlab.analysis.nouns import LevelSummary, Signs
from loadlab.core.units import NS_PER_S, number

ERRORS = ("ttft_p50_ms", "ttft_p99_ms", "itl_p50_ms", "itl_p99_ms")
LATE_GAPS = 1.0

_UNCALIBRATED = "not calibrated; run loadlab calibrate"
_MS_PER_S = 1000


@dataclass(frozen=True, slots=True)
class Calibration:
    """The client's error at one load: `streams` users, each reading `tokens_per_s`.

    `trouble` says why it must not be kept, or is empty. Unknown numbers are None.
    """

    processes: int
    streams: int
    tokens_per_s: float
    requests: int
    tokens: int
    ttft_p50_ms: float | None
    ttft_p99_ms: float | None
    itl_p50_ms: float | None
    itl_p99_ms: float | None
    send_lag_p99_ms: float | None
    cpu_us_per_token: float | None
    server_late_p99_ms: float | None
    trouble: str = ""

    def row(self) -> dict[str, Any]:
        """The columns of table `calibration` that are measured."""
        return {name: value for name, value in asdict(self).items() if name != "trouble"}


def calibrated(
    level: LevelSummary, cpu_s: float | None, ledger: Mapping[str, Any], tokens_per_s: float, processes: int
) -> Calibration:
    """Client against server; `cpu_s` is of the load workers, `ledger` holds the level's requests alone."""
    metrics = {name: level.metrics[name] for name in ("ttft_ms", "itl_ms")}
    errors = {name: _minus(_stat(metrics, name), _stat(ledger, name)) for name in ERRORS}
    return Calibration(
        processes=processes,
        streams=level.offered["users"],
        tokens_per_s=tokens_per_s,
        requests=level.requests["ok"],
        tokens=ledger["tokens"],
        **errors,
        send_lag_p99_ms=level.metrics["send_lag_ms"]["p99"],
        cpu_us_per_token=cpu_s * 1e6 / ledger["tokens"] if cpu_s and ledger["tokens"] else None,
        server_late_p99_ms=ledger["late_ms"]["p99"],
        trouble=_trouble(level, ledger, tokens_per_s),
    )


def _stat(metrics: Mapping[str, Any], name: str) -> float | None:
    metric, stat, unit = name.split("_")
    value: float | None = metrics[f"{metric}_{unit}"][stat]
    return value


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def cpu_seconds(readings: pd.DataFrame, levels: pd.DataFrame) -> float | None:
    """CPU time of the load workers during the run's first level, from their readings; None without any."""
    started, finished = levels["started_ns"].iloc[0], levels["finished_ns"].iloc[0]
    own = readings[(readings["source"] == "generator") & (readings["metric"] == "cpu_percent")]
    during = own[(own["at_ns"] > started) & (own["at_ns"] <= finished)]
    if during.empty:
        return None
    cores = float(during.groupby("device")["value"].mean().sum()) / 100
    return cores * float(finished - started) / NS_PER_S


def _trouble(level: LevelSummary, ledger: Mapping[str, Any], tokens_per_s: float) -> str:
    sent, late, limit = level.requests["sent"], ledger["late_ms"]["p99"], LATE_GAPS * _MS_PER_S / tokens_per_s
    if not sent or level.requests["failed"]:
        return f"{level.requests['failed']} of {sent} requests failed"
    if sent != ledger["n"]:
        return f"the client has {sent} requests, the server {ledger['n']}: they are not the same"
    if late > limit:
        return (
            f"the server itself was late: p99 {number(late)} ms of a token, limit {number(limit)} ms (a gap)"
        )
    return ""


def expected_error(signs: Signs, processes: int, calibration: pd.DataFrame | None) -> dict[str, Any]:
    """The errors of the nearest calibrated load at or above this one, and the basis in words.

    `calibration` are the rows of this load host, as `store.calibration` gives them. Unknown errors are None.
    """
    if calibration is None or calibration.empty:
        return _unknown(_UNCALIBRATED)
    rows = calibration[calibration["processes"] == processes]
    if rows.empty:
        return _unknown(
            f"not calibrated for {processes} processes; run loadlab calibrate --processes {processes}"
        )
    if signs.under_way is None or signs.events_per_s is None:
        return _unknown("no request was measured")
    enough = rows[rows["streams"] >= signs.under_way]
    if enough.empty:
        return _unknown(
            f"not calibrated beyond {rows['streams'].max()} streams; see loadlab calibrate --full"
        )
    offered = enough["streams"] * enough["tokens_per_s"]
    near = enough[offered >= signs.events_per_s].sort_values(["streams", "tokens_per_s"])
    if near.empty:
        return _unknown(f"not calibrated beyond {number(offered.max())} tok/s; see loadlab calibrate --rates")
    return _known(near.iloc[0])


def _unknown(basis: str) -> dict[str, Any]:
    return {**dict.fromkeys(ERRORS), "basis": basis}


def _known(row: Any) -> dict[str, Any]:
    day = datetime.fromtimestamp(int(row["calibrated_at_ns"]) // NS_PER_S, UTC).date()
    basis = f"calibrated {day} at {int(row['streams']):,} streams × {row['tokens_per_s']:g} tok/s"
    return {**{name: float(row[name]) for name in ERRORS}, "basis": basis}
