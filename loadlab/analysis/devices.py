"""Each GPU of a run in numbers, and what came out at which power. Knows readings and a timeline.

Energy is that of `energy.py`. How long a GPU was held back: the time from a reading that says so to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.energy import SOURCE, level_energy_j
from loadlab.analysis.percentiles import describe
from loadlab.analysis.samples import column
from loadlab.core.units import NS_PER_S

_HELD = ("throttled_by_power", "throttled_by_heat", "throttled_otherwise")
_DESCRIBED = (
    "utilisation_percent", "power_w", "memory_used_bytes", "temperature_c", "sm_clock_mhz", "power_limit_w",
)  # fmt: skip
_MOST_PERIODS = 3.0


def devices(readings: pd.DataFrame) -> list[str]:
    """The GPUs that were read, in order of name."""
    return sorted({str(name) for name in readings[readings["source"] == SOURCE]["device"]})


def device_table(readings: pd.DataFrame) -> list[dict[str, Any]]:
    """One dict per GPU: device, the statistics of each metric (`describe`), energy_j, held_s, held_percent.

    Over the whole time that readings are of; None is unknown.
    """
    own = readings[readings["source"] == SOURCE]
    return [_device(name, own[own["device"] == name]) for name in devices(readings)]


def _device(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    at = column(rows, "at_ns")
    energy_j, remarks = level_energy_j(rows, int(at.min()), int(at.max()))
    stats = {metric: describe(column(rows[rows["metric"] == metric], "value")) for metric in _DESCRIBED}
    held_s, seen_s = _held_s(rows)
    percent = 100 * held_s / seen_s if held_s is not None and seen_s else None
    return {
        "device": name, **stats, "energy_j": energy_j, "remarks": remarks, "held_s": held_s,
        "held_percent": percent,
    }  # fmt: skip


def _held_s(rows: pd.DataFrame) -> tuple[float | None, float]:
    """For how long it was held back, for whatever reason, and for how long that was looked at."""
    own = rows[rows["metric"].isin(list(_HELD))].groupby("at_ns")["value"].max().sort_index()
    if len(own) < 2:
        return None, 0.0
    steps = np.diff(own.index.to_numpy(np.float64)) / NS_PER_S
    steps = np.minimum(steps, _MOST_PERIODS * float(np.median(steps)))
    return float(steps[own.to_numpy()[:-1] > 0].sum()), float(steps.sum())


def power_points(
    timeline: pd.DataFrame, readings: pd.DataFrame, levels: Sequence[tuple[str, float, float]]
) -> pd.DataFrame:
    """A row per bin in which every GPU's power was read: label, power_w (all GPUs), output_tokens_per_s.

    `levels` are (label, start s, end s); bins outside them are left out.
    """
    columns = ["label", "power_w", "output_tokens_per_s"]
    power = readings[(readings["source"] == SOURCE) & (readings["metric"] == "power_w")]
    if timeline.empty or power.empty:
        return pd.DataFrame(columns=columns)
    starts = timeline["t_s"].to_numpy(np.float64)
    width = float(starts[1] - starts[0]) if len(starts) > 1 else 1.0
    whole = sum(_mean_per_bin(rows, starts, width) for _, rows in power.groupby("device"))
    frame = pd.DataFrame(
        {
            "label": [_label(start + width / 2, levels) for start in starts],
            "power_w": whole,
            "output_tokens_per_s": timeline["output_tokens"].to_numpy(np.float64) / width,
        }
    )
    return frame.dropna(subset=["label", "power_w"]).reset_index(drop=True)


def _mean_per_bin(rows: pd.DataFrame, starts: Any, width: float) -> Any:
    place = np.floor((column(rows, "at_ns") / NS_PER_S - starts[0]) / width + 1e-9)
    mean = pd.Series(column(rows, "value")).groupby(place).mean()
    return mean.reindex(range(len(starts))).to_numpy(np.float64)


def _label(t_s: float, levels: Sequence[tuple[str, float, float]]) -> str | None:
    return next((label for label, start, end in levels if start <= t_s <= end), None)
