"""The curve: one row per level, the Pareto staircase and the answer to an SLO."""

from __future__ import annotations

from typing import Any

import handmade
import numpy as np
import pandas as pd
import pytest

from loadlab.analysis import at_slo, curve, dominated, summarise
from loadlab.analysis.curve import COLUMNS
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Level


def made(*levels: Level, rows: list[dict[str, Any]], **run: Any) -> pd.DataFrame:
    requests = handmade.requests(*rows)
    return curve(
        summarise(handmade.run(*levels, **run), handmade.levels(*levels), requests, handmade.gaps(requests))
    )


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three levels, ever more throughput and ever slower; the third fails outright."""
    return made(
        Level(0, users=1),
        Level(1, users=8),
        Level(2, rate=2.0, arrivals="poisson"),
        rows=[
            handmade.request(0, ttft=40, tokens=3, level=0),
            *(handmade.request(0, ttft=80, tokens=3, itl=20, level=1) for _ in range(8)),
            handmade.failure(0, level=2),
        ],
    )


def test_a_row_per_level_with_the_summary_in_it(frame: pd.DataFrame) -> None:
    assert list(frame.columns) == list(COLUMNS)
    assert frame["offered"].tolist() == ["1 user", "8 users", "2 req/s poisson"]
    assert frame["n"].tolist() == [1, 8, 0]
    assert frame["ttft_ms_p95"].tolist()[:2] == [40, 80]
    assert frame["itl_ms_p50"].tolist()[:2] == [10, 20]
    assert frame["error_rate"].tolist() == [0, 0, 100]
    assert frame["interactivity_tok_s"].tolist()[:2] == pytest.approx([100, 50])
    assert frame["output_tokens_per_s"].tolist()[:2] == pytest.approx([3 / 0.06, 24 / 0.12])
    assert frame["verdict"].tolist() == ["VALID", "VALID", "INVALID"]


def test_numbers_are_floats_with_nan_also_where_a_whole_column_is_unknown(frame: pd.DataFrame) -> None:
    assert frame["usd"].dtype == np.float64
    assert frame["usd"].isna().all()
    assert np.isnan(frame["ttft_ms_p99"].iloc[2])
    assert np.isnan(frame["rate"].iloc[0])
    assert np.isnan(frame["users"].iloc[2])


def test_a_run_without_levels_is_an_empty_curve() -> None:
    requests = handmade.requests()
    empty = curve(summarise(handmade.run(), handmade.levels().iloc[:0], requests, handmade.gaps(requests)))
    assert empty.empty
    assert list(empty.columns) == list(COLUMNS)


def points(*pairs: tuple[float, float]) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["output_tokens_per_s", "ttft_ms_p95"])


def test_dominated_by_hand() -> None:
    frame = points((10, 50), (20, 60), (15, 70), (30, 200), (30, 220), (np.nan, 1))
    assert dominated(frame).tolist() == [False, False, True, False, True, False]


def test_equal_points_do_not_dominate_each_other() -> None:
    assert dominated(points((10, 50), (10, 50))).tolist() == [False, False]


@pytest.mark.parametrize("seed", range(10))
def test_the_rows_left_are_a_staircase(seed: int) -> None:
    random = np.random.default_rng(seed)
    frame = points(*zip(random.random(30), random.random(30), strict=True))
    left = frame[~dominated(frame)].sort_values("output_tokens_per_s")
    assert left["ttft_ms_p95"].is_monotonic_increasing
    for row in frame[dominated(frame)].itertuples():
        better = (left["output_tokens_per_s"] >= row.output_tokens_per_s) & (
            left["ttft_ms_p95"] <= row.ttft_ms_p95
        )
        assert better.any()


def test_the_answer_to_an_slo_is_the_measured_level_with_most_throughput(frame: pd.DataFrame) -> None:
    assert at_slo(frame, "ttft_ms", "p95", 100)["level"] == 1
    assert at_slo(frame, "ttft_ms", "p95", 80)["level"] == 1
    assert at_slo(frame, "ttft_ms", "p95", 79.9)["level"] == 0
    assert at_slo(frame, "ttft_ms", "p95", 39.9) is None


def test_an_invalid_level_is_no_answer(frame: pd.DataFrame) -> None:
    frame.loc[1, "verdict"] = "INVALID"
    assert at_slo(frame, "ttft_ms", "p95", 100)["level"] == 0


def test_an_unstable_level_is_no_answer(frame: pd.DataFrame) -> None:
    assert frame["unstable"].tolist() == [False] * len(frame)
    frame.loc[1, "unstable"] = True
    assert at_slo(frame, "ttft_ms", "p95", 100)["level"] == 0
    assert at_slo(frame.drop(columns="unstable"), "ttft_ms", "p95", 100)["level"] == 1


def test_a_mistyped_metric_names_the_nearest(frame: pd.DataFrame) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ttft_ms_p95'"):
        at_slo(frame, "ttf_ms", "p95", 100)
