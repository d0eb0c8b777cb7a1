"""A run's levels as a curve: one row per level, and which rows are worth choosing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.nouns import LevelSummary, Summary
from loadlab.analysis.percentiles import LEVELS
from loadlab.analysis.samples import REQUEST_METRICS, column, flag
from loadlab.core.errors import UnknownNameError
from loadlab.core.metrics import METRICS

STATS = ("mean", *LEVELS)
_LATENCIES = {f"{metric}_{stat}": (metric, stat) for metric in (*REQUEST_METRICS, "itl_ms") for stat in STATS}
_RATES = ("requests_per_s", "output_tokens_per_s", "total_tokens_per_s")
_COSTS = (
    "usd", "usd_per_mtok_output", "usd_per_mtok_blended", "usd_per_mtok_weighted",
    "usd_per_mtok_output_at_slo", "wasted_usd", "energy_usd", "co2e_kg",
)  # fmt: skip
_HARDWARE = (
    "gpu_utilisation_percent", "gpu_power_w", "j_per_output_token", "output_tokens_per_j",
    "kv_cache_max_percent",
)  # fmt: skip
_NUMERIC = (
    "users", "rate", *_LATENCIES, "error_rate", *_RATES, *_COSTS, *_HARDWARE, "interactivity_tok_s", "gpus",
    "output_tokens_per_s_per_gpu",
)  # fmt: skip
COLUMNS = (
    "level", "offered", "load", "repeat", "n", *_NUMERIC, "verdict", "unstable", "dominated",
)  # fmt: skip


def curve(summary: Summary) -> pd.DataFrame:
    """One row per level with the columns of `COLUMNS`; numbers are float64, NaN where unknown.

    `load` numbers the offered loads in the order first measured: rows that share it are repeats of one, and
    `repeat` counts them from 0. `interactivity_tok_s` is 1000 / p50 TPOT: the pace one user sees. `gpus`:
    those that were read, else what the label `gpus` of the target says. `dominated`: see `dominated()`.
    """
    told = _told_gpus(summary)
    frame = pd.DataFrame([_row(level, told) for level in summary.levels], columns=list(COLUMNS))
    frame["load"], frame["repeat"] = _loads(summary.levels)
    frame = frame.astype(dict.fromkeys(_NUMERIC, np.float64))
    frame["dominated"] = dominated(frame)
    return frame


def _loads(levels: Sequence[LevelSummary]) -> tuple[list[int], list[int]]:
    """For each level the number of its load, and how many levels before had the same."""
    offered = [level.offered for level in levels]
    loads = [dict(each) for at, each in enumerate(offered) if each not in offered[:at]]
    return [loads.index(dict(each)) for each in offered], [
        offered[:at].count(each) for at, each in enumerate(offered)
    ]


def _told_gpus(summary: Summary) -> float | None:
    said = str(summary.spec.endpoint.labels.get("gpus", ""))
    return float(said) if said.isascii() and said.isdigit() and int(said) else None


def _row(level: LevelSummary, told_gpus: float | None) -> dict[str, Any]:
    sent = level.requests["sent"]
    gpus, output = level.hardware.get("gpus") or told_gpus, level.rates["output_tokens_per_s"]
    tpot = level.metrics["tpot_ms"]["p50"]
    return {
        "level": level.index,
        "offered": level.label,
        "load": 0,
        "repeat": 0,
        "n": level.requests["ok"],
        "users": level.offered.get("users"),
        "rate": level.offered.get("rate"),
        **{name: level.metrics[metric][stat] for name, (metric, stat) in _LATENCIES.items()},
        "error_rate": 100 * level.requests["failed"] / sent if sent else None,
        **{name: level.rates[name] for name in _RATES},
        **{name: level.cost[name] for name in _COSTS},
        **{name: level.hardware.get(name) for name in _HARDWARE},
        "interactivity_tok_s": 1000 / tpot if tpot else None,
        "gpus": gpus,
        "output_tokens_per_s_per_gpu": output / gpus if gpus and output is not None else None,
        "verdict": level.verdict,
        "unstable": level.unstable,
        "dominated": False,
    }


def dominated(
    frame: pd.DataFrame, throughput: str = "output_tokens_per_s", latency: str = "ttft_ms_p95"
) -> pd.Series[bool]:
    """Whether another row is as good on both columns and better on one. Rows with unknowns are not judged.

    The rows left, sorted, are the Pareto staircase of the curve.
    """
    more, slower = column(frame, throughput), column(frame, latency)
    no_worse = (more[None, :] >= more[:, None]) & (slower[None, :] <= slower[:, None])
    better = (more[None, :] > more[:, None]) | (slower[None, :] < slower[:, None])
    return pd.Series((no_worse & better).any(axis=1), index=frame.index, dtype=bool)


def at_slo(frame: pd.DataFrame, metric: str, stat: str, limit: float) -> pd.Series[Any] | None:
    """The measured level with the most output throughput whose `metric` at `stat` keeps to `limit`, or None.

    INVALID and unstable levels are no answer. `limit` is in the metric's unit. Raises UnknownNameError.
    """
    name = f"{metric}_{stat}"
    if name not in _LATENCIES:
        raise UnknownNameError("curve column", name, _LATENCIES)
    values = column(frame, name)
    kept = values >= limit if METRICS[metric].better == "higher" else values <= limit
    unstable = flag(frame, "unstable") if "unstable" in frame else False
    meeting = frame[kept & (frame["verdict"] != "INVALID").to_numpy(dtype=bool) & ~np.asarray(unstable)]
    by = ["output_tokens_per_s", "requests_per_s"]
    return None if meeting.empty else meeting.sort_values(by, ascending=False).iloc[0]
