"""Energy of a stretch of time, from what GPUs said of themselves. Knows readings; no tokens, no prices.

A GPU's energy counter is used where there is one, else its power by trapezoid. Nothing is guessed: where too
much was not seen, or a counter cannot be true, the energy is unknown, and the reason is given in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from loadlab.analysis.percentiles import Sample
from loadlab.analysis.samples import column
from loadlab.core.units import NS_PER_S, number

SOURCE = "nvml"
GAP_PERIODS, GAP_FLOOR_S = 3.0, 1.0
UNSEEN_LIMIT = 0.05
FEWEST = 5
DISAGREE = 0.25


@dataclass(frozen=True, slots=True)
class _Part:
    """The energy of one device by one method; None with the reasons why, else reasons limit it."""

    joule: float | None
    reasons: list[str]


def level_energy_j(readings: pd.DataFrame, start_ns: int, end_ns: int) -> tuple[float | None, list[str]]:
    """Energy in J of all GPUs between two instants (ns from the run's anchor, as `at_ns`), and remarks.

    `readings` are the store's rows; devices of source "nvml" with `power_w` or `energy_j` count. None means
    unknown, the reasons say why; with a number they say what limits it. One GPU that is not known makes the
    sum unknown: part of the GPUs is not their energy.
    """
    if end_ns <= start_ns:
        return None, ["no energy: the stretch of time is empty"]
    own = readings[
        (readings["source"] == SOURCE).to_numpy(dtype=bool)
        & readings["metric"].isin(["power_w", "energy_j"]).to_numpy(dtype=bool)
    ]
    if own.empty:
        return None, ["no energy: no GPU gave power or energy"]
    parts = {str(name): _device(rows, start_ns, end_ns) for name, rows in own.groupby("device", sort=True)}
    reasons = [f"{device}: {reason}" for device, part in parts.items() for reason in part.reasons]
    known = [part.joule for part in parts.values() if part.joule is not None]
    return (sum(known) if len(known) == len(parts) else None), reasons


def _device(rows: pd.DataFrame, start_ns: int, end_ns: int) -> _Part:
    """The counter, unless it cannot be true: then the power samples, with the counter's fault named."""
    counter = _counted(*_series(rows, "energy_j"), start_ns, end_ns)
    power = _trapezoid(*_series(rows, "power_w"), start_ns, end_ns)
    if counter is None:
        return power or _Part(None, ["no energy: neither power nor an energy counter was read"])
    if counter.joule is None:
        return counter if power is None else _Part(power.joule, [*counter.reasons, *power.reasons])
    if power is None or power.joule is None:
        return counter
    return _agreed(counter, counter.joule, power.joule)


def _agreed(counter: _Part, counted: float, integrated: float) -> _Part:
    """Two measures of the same thing; where they differ widely one is wrong, and nobody knows which."""
    if abs(counted - integrated) <= DISAGREE * max(counted, integrated):
        return counter
    words = f"energy counter {number(counted)} J and power samples {number(integrated)} J disagree"
    return _Part(None, [f"no energy: {words} by more than {DISAGREE:.0%}"])


def _series(rows: pd.DataFrame, metric: str) -> tuple[Sample, Sample]:
    """Times in s and values in order of time, one value per instant."""
    own = rows[(rows["metric"] == metric).to_numpy(dtype=bool)]
    at, first = np.unique(column(own, "at_ns"), return_index=True)
    return at / NS_PER_S, column(own, "value")[first]


def _counted(at: Sample, value: Sample, start_ns: int, end_ns: int) -> _Part | None:
    if not len(at):
        return None
    start, end = start_ns / NS_PER_S, end_ns / NS_PER_S
    near = _around(at, start, end)
    at, value = at[near], value[near]
    if len(at) < 2:
        return _Part(None, [f"no energy by the counter: {len(at)} of at least 2 readings"])
    if (np.diff(value) < 0).any():
        return _Part(None, ["the energy counter went back; it cannot be used"])
    if value[-1] == value[0]:
        return _Part(None, ["the energy counter stood still; it cannot be used"])
    first, last = _seen_from(at, start, end), -_seen_from(-at[::-1], -end, -start)
    joule = float(np.interp(last, at, value) - np.interp(first, at, value))
    return _whole(joule, max(0.0, last - first), end - start, "the energy counter")


def _seen_from(at: Sample, start: float, end: float) -> float:
    """From when on the counter is known: inside a long pause a straight line would be a guess."""
    if at[0] >= start:
        return float(at[0])
    pause_limit = max(GAP_FLOOR_S, UNSEEN_LIMIT * (end - start))
    return start if at[1] - at[0] <= pause_limit else float(at[1])


def _trapezoid(at: Sample, watt: Sample, start_ns: int, end_ns: int) -> _Part | None:
    if not len(at):
        return None
    start, end = start_ns / NS_PER_S, end_ns / NS_PER_S
    inside = int(((at >= start) & (at <= end)).sum())
    if inside < FEWEST:
        return _Part(None, [f"no energy: {inside} of at least {FEWEST} power samples"])
    near, gap_s = _around(at, start, end), _gap_s(at)
    at, watt = at[near], watt[near]
    if (watt < 0).any():
        return _Part(None, [f"no energy: a power of {float(watt.min()):g} W cannot be"])
    first, last = np.clip(at[:-1], start, end), np.clip(at[1:], start, end)
    height = (np.interp(first, at, watt) + np.interp(last, at, watt)) / 2
    length = (last - first) * (np.diff(at) <= gap_s)
    return _whole(float((length * height).sum()), float(length.sum()), end - start, "power")


def _whole(joule: float, seen_s: float, span_s: float, what: str) -> _Part:
    """A small unseen share is taken to be like the rest, and said; a large one is not."""
    unseen_s = span_s - seen_s
    if unseen_s <= 1e-9 * span_s:
        return _Part(joule, [])
    words = f"{what} was not read in {number(unseen_s)} s of {number(span_s)} s"
    if unseen_s > UNSEEN_LIMIT * span_s:
        return _Part(None, [f"no energy: {words}, limit {UNSEEN_LIMIT:.0%}"])
    return _Part(joule * span_s / seen_s, [f"{words}, taken to be like the rest"])


def _gap_s(at: Sample) -> float:
    """From how long on a pause is a gap: three usual periods, and a second at least."""
    return max(GAP_FLOOR_S, GAP_PERIODS * float(np.median(np.diff(at))))


def _around(at: Sample, start: float, end: float) -> slice:
    """The samples inside, and one neighbour on each side."""
    first, last = np.searchsorted(at, start, side="right"), np.searchsorted(at, end, side="left")
    return slice(max(int(first) - 1, 0), int(last) + 1)
