"""What the GPUs and the server did during a level. Knows readings and tokens; no latencies, no prices.

Window: the level's own, first planned to last done, as for its rates. A number that was not measured is None.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.energy import SOURCE, level_energy_j
from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import column
from loadlab.core.units import NS_PER_S, number

KEYS = (
    "gpus", "gpu_utilisation_percent", "gpu_memory_bytes", "gpu_throttled_percent", "gpu_power_w",
    "gpu_idle_power_w", "energy_j", "j_per_output_token", "output_tokens_per_j", "kv_cache_percent",
    "kv_cache_max_percent", "server_running", "server_waiting_max", "preemptions", "prefix_cache_hit_percent",
    "spec_decode_accepted_percent", "remarks",
)  # fmt: skip
_FEWEST_IDLE, _IDLE_PERCENT = 5, 5.0
_THROTTLES = ("throttled_by_power", "throttled_by_heat", "throttled_otherwise")


def level_hardware(
    readings: pd.DataFrame | None,
    window_ns: tuple[int, int] | None,
    output_tokens: float | None,
    idle: tuple[float | None, list[str]] = (None, []),
) -> dict[str, Any]:
    """The keys of `KEYS` for one window (ns from the run's anchor); `remarks` say what limits them.

    `readings` are the store's rows of the whole run, `output_tokens` those of the successful answers of the
    window, `idle` what `idle_power_w` gave.
    """
    found: dict[str, Any] = {**dict.fromkeys(KEYS), "remarks": []}
    if readings is None or readings.empty or window_ns is None:
        return found
    inside = readings[_between(readings, *window_ns)]
    gpus, server = _of(inside, SOURCE), _of(inside, "server")
    if len(gpus):
        found |= _busy(gpus) | _energy(readings, window_ns, output_tokens)
        found["gpu_idle_power_w"] = idle[0]
        found["remarks"] = [*found["remarks"], *idle[1]]
    if len(server):
        counted, remarks = _counted(_of(readings, "server"), *window_ns)
        found |= _queues(server) | counted
        found["remarks"] = [*found["remarks"], *remarks]
    return found


def idle_power_w(readings: pd.DataFrame | None, until_ns: float | None) -> tuple[float | None, list[str]]:
    """The power of all GPUs before the first level began, in W, and what makes it doubtful."""
    if readings is None or readings.empty or until_ns is None or np.isnan(until_ns):
        return None, []
    before = _of(readings[column(readings, "at_ns") < until_ns], SOURCE)
    power = {device: column(rows, "value") for device, rows in _devices(before, "power_w")}
    if not power:
        return None, []
    if (fewest := min(map(len, power.values()))) < _FEWEST_IDLE:
        return None, [f"no idle power: {fewest} of at least {_FEWEST_IDLE} samples before the load"]
    busy = _mean(_series(before, "utilisation_percent"))
    doubt = busy is not None and busy > _IDLE_PERCENT
    words = [f"idle power is not of idle GPUs: they were {number(busy)} % busy before the load"]
    return float(sum(values.mean() for values in power.values())), words if doubt else []


def _busy(gpus: pd.DataFrame) -> dict[str, Any]:
    """Means over time of each GPU, then over GPUs, so that one read more often does not weigh more."""
    busy = [_mean(column(rows, "value")) for _, rows in _devices(gpus, "utilisation_percent")]
    memory = [column(rows, "value").max() for _, rows in _devices(gpus, "memory_used_bytes", slices=False)]
    seen = gpus["metric"].isin(["power_w", "energy_j", "utilisation_percent", "memory_used_bytes"])
    whole = gpus[seen & ~gpus["device"].str.contains(".mig", regex=False)]
    return {
        "gpus": int(whole["device"].nunique()) or None,
        "gpu_utilisation_percent": _mean(np.array([value for value in busy if value is not None])),
        "gpu_memory_bytes": float(sum(memory)) if memory else None,
        "gpu_throttled_percent": _throttled(gpus),
    }


def _throttled(gpus: pd.DataFrame) -> float | None:
    """The share of readings at which the worst GPU was held back, for whatever reason."""
    shares = []
    own = gpus[gpus["metric"].isin(list(_THROTTLES))]
    for _, rows in own.groupby("device"):
        shares.append(100 * float((rows.groupby("at_ns")["value"].max() > 0).mean()))
    return max(shares, default=None)


def _energy(
    readings: pd.DataFrame, window_ns: tuple[int, int], output_tokens: float | None
) -> dict[str, Any]:
    joule, remarks = level_energy_j(readings, *window_ns)
    span_s = (window_ns[1] - window_ns[0]) / NS_PER_S
    per_token = joule / output_tokens if joule and output_tokens else None
    return {
        "energy_j": joule,
        "gpu_power_w": None if joule is None else joule / span_s,
        "j_per_output_token": per_token,
        "output_tokens_per_j": None if per_token is None else 1 / per_token,
        "remarks": remarks,
    }


def _queues(server: pd.DataFrame) -> dict[str, Any]:
    kv = _series(server, "kv_cache_use")
    return {
        "kv_cache_percent": _percent(_mean(kv)),
        "kv_cache_max_percent": _percent(_highest(kv)),
        "server_running": _mean(_series(server, "running")),
        "server_waiting_max": _highest(_series(server, "waiting")),
    }


def _counted(server: pd.DataFrame, start_ns: int, end_ns: int) -> tuple[dict[str, Any], list[str]]:
    """What counters gained in the window; nothing where the server began to count anew meanwhile."""

    def gained(metric: str) -> float | None:
        return increase(server, metric, start_ns, end_ns)

    if gained("counter_restarts"):
        return {}, ["the server's counters began anew during the level: what they gained is not known"]
    hits, asked = gained("prefix_cache_hits"), gained("prefix_cache_queries")
    accepted, drafted = gained("spec_decode_accepted_tokens"), gained("spec_decode_draft_tokens")
    inside = server[_between(server, start_ns, end_ns)]
    return {
        "preemptions": gained("preemptions"),
        "prefix_cache_hit_percent": _share(hits, asked, _series(inside, "prefix_cache_hit_rate")),
        "spec_decode_accepted_percent": _share(accepted, drafted, _series(inside, "spec_decode_acceptance")),
    }, []


def increase(readings: pd.DataFrame, metric: str, start_ns: int, end_ns: int) -> float | None:
    """What a counter gained in a window: its last reading less the last before the window (or its first).

    None without two readings, and where it went back: then it counts something else.
    """
    own = readings[(readings["metric"] == metric).to_numpy(dtype=bool)]
    at, value = column(own, "at_ns"), column(own, "value")
    first = max(int(np.searchsorted(at, start_ns, side="right")) - 1, 0)
    known = value[first : int(np.searchsorted(at, end_ns, side="right"))]
    if len(known) < 2 or (np.diff(known) < 0).any():
        return None
    return float(known[-1] - known[0])


def _share(part: float | None, whole: float | None, gauge: Sample) -> float | None:
    """The share that counters tell, in percent; else the mean of what the server says itself."""
    if part is not None and whole is not None:
        return 100 * part / whole if 0 < part <= whole or (part == 0 and whole) else None
    return _percent(_mean(gauge))


def _between(readings: pd.DataFrame, start_ns: int, end_ns: int) -> Any:
    at = column(readings, "at_ns")
    return (at >= start_ns) & (at <= end_ns)


def _of(readings: pd.DataFrame, source: str) -> pd.DataFrame:
    return readings[(readings["source"] == source).to_numpy(dtype=bool)]


def _devices(readings: pd.DataFrame, metric: str, *, slices: bool = True) -> Any:
    own = readings[(readings["metric"] == metric).to_numpy(dtype=bool)]
    if not slices:
        own = own[~own["device"].str.contains(".mig", regex=False)]
    return own.groupby("device", sort=True)


def _series(readings: pd.DataFrame, metric: str) -> Sample:
    return column(readings[(readings["metric"] == metric).to_numpy(dtype=bool)], "value")


def _reduced(values: Sample, by: Callable[[Sample], Any]) -> float | None:
    return float(by(values)) if len(values) else None


def _mean(values: Sample) -> float | None:
    return _reduced(values, np.mean)


def _highest(values: Sample) -> float | None:
    return _reduced(values, np.max)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
