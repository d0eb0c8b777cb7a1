"""How small p must be: smaller for longer series and for those with a memory."""

from __future__ import annotations

import numpy as np
import pytest

from loadlab.history import thresholds


def test_the_table_falls_with_memory_and_at_its_ends_with_length() -> None:
    table = np.array(thresholds.TABLE)
    assert table.shape == (len(thresholds.LENGTHS), len(thresholds.RHOS))
    assert (np.diff(table, axis=1) < 0).all()
    assert (table[-1] < table[0]).all()


def test_between_its_entries_the_table_is_read_by_logarithms() -> None:
    first, second = (10 ** thresholds.TABLE[row][0] for row in (4, 5))
    assert second < thresholds.at(70, 0.0) < first
    assert thresholds.at(2000, 0.0) == pytest.approx(thresholds.at(200, 0.0) / 10)
    assert thresholds.at(200, 0.9) == thresholds.at(200, 0.7)


def remembering(rho: float, runs: int = 400) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    draws = np.random.default_rng(3).standard_normal(runs)
    for at in range(1, runs):
        draws[at] += rho * draws[at - 1]
    return draws


def test_memory_is_seen_and_a_step_is_none() -> None:
    assert thresholds.memory(remembering(0.0)) < 0.15
    assert 0.35 < thresholds.memory(remembering(0.5)) < 0.65
    stepped = remembering(0.0)
    stepped[200:] += 20
    assert thresholds.memory(stepped) < 0.15


def test_a_short_series_is_taken_for_usual() -> None:
    assert 0.05 < thresholds.memory(np.zeros(8)) < 0.1
    assert thresholds.memory(np.arange(8.0)) < 0.3
