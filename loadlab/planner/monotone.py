"""Monotone curves through measured points: isotonic regression (PAVA), then a monotone cubic (PCHIP).

A latency does not fall as the load rises; where the measured one does, neighbours are pooled. The cubic adds
no wave of its own (Fritsch and Butland, 1984). Arrays hold the points of a curve along the last axis, the
lightest load first; curves over the same loads go together. Nothing is known beyond the first and last point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from loadlab.analysis.percentiles import Sample

Places = np.ndarray[Any, np.dtype[np.int64]]
_HALVINGS = 40


def isotonic(y: Sample, weights: Sample) -> Sample:
    """The non-decreasing values nearest to `y` by weighted squares; each row of `y` by itself."""
    if y.ndim > 1:
        return np.array([isotonic(row, weights) for row in y])
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(y.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            block = _pooled(blocks.pop(), block)
        blocks.append(block)
    return np.repeat([value for value, _, _ in blocks], [n for _, _, n in blocks])


def _pooled(a: tuple[float, float, int], b: tuple[float, float, int]) -> tuple[float, float, int]:
    weight = a[1] + b[1]
    return (a[0] * a[1] + b[0] * b[1]) / weight, weight, a[2] + b[2]


def slopes(x: Sample, y: Sample) -> Sample:
    """The slope of the cubic at each point."""
    h, rise = np.diff(x), np.diff(y)
    secant = rise / h
    if len(x) == 2:
        return np.repeat(secant, 2, axis=-1)
    found = np.zeros_like(y)
    found[..., 1:-1] = _inner(h, secant)
    found[..., 0] = _end(h[0], h[1], secant[..., 0], secant[..., 1])
    found[..., -1] = _end(h[-1], h[-2], secant[..., -1], secant[..., -2])
    return found


def _inner(h: Sample, secant: Sample) -> Sample:
    """The weighted harmonic mean of both sides; 0 where one is flat."""
    before, after = secant[..., :-1], secant[..., 1:]
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    rising = before * after > 0
    one = np.ones_like(before)
    mean = (w1 + w2) / (w1 / np.where(rising, before, one) + w2 / np.where(rising, after, one))
    return np.where(rising, mean, 0.0)


def _end(near: float, far: float, first: Sample, second: Sample) -> Sample:
    """The parabola's slope at its end, kept from turning back."""
    slope = ((2 * near + far) * first - near * second) / (near + far)
    return np.clip(slope, 0.0, 3 * first)


def at(x: Sample, y: Sample, load: float) -> float | None:
    """The height of one curve at a load; None outside of what was measured."""
    if not len(x) or not x[0] <= load <= x[-1]:
        return None
    if len(x) == 1:
        return float(y[0])
    place = min(int(np.searchsorted(x, load, side="right")) - 1, len(x) - 2)
    ends = _Segment(x, y, slopes(x, y), np.array([place]))
    return float(ends.height(np.array([load]))[0])


def highest_within(x: Sample, y: Sample, limit: float) -> Sample:
    """Of each row of `y`, the highest load at which it is at most `limit`; NaN where it never is."""
    held = (y <= limit).sum(axis=-1)
    found = np.where(held > 0, x[np.maximum(held, 1) - 1], np.nan)
    rows = np.flatnonzero((held > 0) & (held < len(x)))
    if rows.size:
        found[rows] = _crossing(x, y[rows], held[rows] - 1, limit)
    return found


def _crossing(x: Sample, y: Sample, place: Places, limit: float) -> Sample:
    segment = _Segment(x, y, slopes(x, y), place)
    low: Sample = x[segment.place]
    high: Sample = x[segment.place + 1]
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        below = segment.height(middle) <= limit
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return low


class _Segment:
    """The cubic of each row between point `place` and the next."""

    def __init__(self, x: Sample, y: Sample, slope: Sample, place: Places) -> None:
        rows = np.arange(len(place))
        y, slope = np.atleast_2d(y), np.atleast_2d(slope)
        self.place, self._from, self._length = place, x[place], x[place + 1] - x[place]
        self._y = y[rows, place], y[rows, place + 1]
        self._slope = slope[rows, place] * self._length, slope[rows, place + 1] * self._length

    def height(self, load: Sample) -> Sample:
        """By the Hermite polynomials."""
        t = (load - self._from) / self._length
        (a, b), (da, db) = self._y, self._slope
        height: Sample = (
            (1 + 2 * t) * (1 - t) ** 2 * a
            + t * t * (3 - 2 * t) * b
            + t * (1 - t) ** 2 * da
            - t * t * (1 - t) * db
        )
        return height
