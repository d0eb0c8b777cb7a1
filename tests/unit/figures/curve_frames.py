"""Curves as `analysis.curve` hands them out, small enough to check by eye."""

from __future__ import annotations

import numpy as np
import pandas as pd

USERS = (1, 2, 4, 8)


def curve(**changed: list[object]) -> pd.DataFrame:
    """Four levels: the third holds 500 ms, the fourth does not and is slower than the third in every way."""
    columns: dict[str, object] = {
        "level": range(4),
        "offered": [f"{n} users" for n in USERS],
        "users": [float(n) for n in USERS],
        "rate": np.nan,
        "n": [20, 40, 80, 160],
        "ttft_ms_p95": [80.0, 120.0, 400.0, 900.0],
        "itl_ms_p95": [10.0, 12.0, 20.0, 40.0],
        "output_tokens_per_s": [90.0, 160.0, 240.0, 230.0],
        "total_tokens_per_s": [180.0, 320.0, 480.0, 460.0],
        "requests_per_s": [1.0, 2.0, 3.0, 2.9],
        "interactivity_tok_s": [95.0, 80.0, 55.0, 25.0],
        "usd_per_mtok_output": [0.9, 0.5, 0.33, 0.34],
        "error_rate": [0.0, 0.0, 0.0, 0.0],
        "verdict": ["VALID", "VALID", "SUSPECT", "VALID"],
    }
    return pd.DataFrame({**columns, **changed})
