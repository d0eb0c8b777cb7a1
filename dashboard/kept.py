"""Curves of many runs without their requests: the numbers that were kept when each run was judged.

A run that was never judged (an older store, a run under way) is computed from its requests instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from loadlab import analysis
from loadlab.figures.marks import COST

from .source import Source

MEASURES = {
    "ttft_ms.p95": "ttft_ms_p95",
    "itl_ms.p95": "itl_ms_p95",
    "tpot_ms.p50": "tpot_ms_p50",
    "output_tokens_per_s": "output_tokens_per_s",
    "error_rate": "error_rate",
    "usd_per_mtok_output": COST,
    "gpu_utilisation_percent": "gpu_utilisation_percent",
    "gpu_power_w": "gpu_power_w",
}


def curves(source: Source, run_ids: Sequence[str]) -> dict[str, pd.DataFrame]:
    """By run, one row per level with offered, users, rate, n, verdict and the columns of MEASURES."""
    kept = dict(iter(source.store.statistics.of(list(MEASURES), run_ids).groupby("run_id")))
    return {ref: _curve(source, ref, kept.get(ref)) for ref in run_ids}


def _curve(source: Source, ref: str, numbers: pd.DataFrame | None) -> pd.DataFrame:
    levels = source.store.levels(ref)
    begun = levels.dropna(subset=["started_ns"])
    judged = [isinstance(word, str) and bool(word) and word != "nan" for word in begun["verdict"]]
    if numbers is None or begun.empty or not all(judged):
        return source.curve(ref)
    wide = numbers.pivot(index="level", columns="measure", values="value").rename(columns=MEASURES)
    counted = numbers[numbers["measure"] == "ttft_ms.p95"].set_index("level")["n"]
    rows = [_level(row, wide, counted) for row in begun.to_dict("records")]
    return pd.DataFrame(rows).astype(dict.fromkeys(MEASURES.values(), np.float64))


def _level(row: Mapping[Any, Any], wide: pd.DataFrame, counted: pd.Series[int]) -> dict[str, Any]:
    level = int(row["level"])
    users = None if pd.isna(row["users"]) else int(row["users"])
    values = {name: _cell(wide, level, name) for name in MEASURES.values()}
    tpot = values["tpot_ms_p50"]
    return {
        "level": level,
        "offered": analysis.label(
            {**row, "users": users, "rate": None if pd.isna(row["rate"]) else row["rate"]}
        ),
        "users": row["users"],
        "rate": row["rate"],
        "n": int(counted.get(level, 0)),
        **values,
        "interactivity_tok_s": 1000 / tpot if tpot and tpot == tpot else np.nan,
        "verdict": row["verdict"],
    }


def _cell(wide: pd.DataFrame, level: int, name: str) -> float:
    known = name in wide.columns and level in wide.index
    return float(wide.at[level, name]) if known else np.nan  # type: ignore[arg-type]
