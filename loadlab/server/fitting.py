"""Fits the losses of a device to steps that were timed, and says how far off the fit is on steps kept back.

Least squares on the logarithm of the step time, so that a short step counts as much as a long one, by
Levenberg-Marquardt on the logarithms of the parameters, which keeps them positive. What the samples
cannot tell apart (the host's time and that of kernels launched one by one are one constant), or never show (a
bandwidth that no step waits for), stays near its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from loadlab.core.errors import UsageError
from loadlab.server.presets import Device, Losses
from loadlab.server.roofline import Hardware, Roofline, Work

_FITTED = (
    "bandwidth_share", "math_share", "half_tokens", "kv_share", "attention_share", "eager_launch_s", "host_s",
    "host_seq_s",
)  # fmt: skip
_HELD_BACK = 3  # every third sample is not fitted to
_FEWEST = 12
_PULL = 0.002  # toward the start, per factor of e: decides only what the samples leave open
_ROUNDS = 200
_SMALLEST = 1e-9
_STARTS = (0.0, -0.7, 0.7)  # a maximum has corners, in which a search from one side only may end
Vector = NDArray[np.float64]


class Sample(NamedTuple):
    """One kind of step and how long it took."""

    work: Work
    seconds: float


class Error(NamedTuple):
    """Relative errors of predicted step times, as shares: the median, the worst, of how many."""

    median: float
    worst: float
    n: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A device with fitted losses, its error on the samples fitted to and on those kept back."""

    device: Device
    fitted: Error
    held_back: Error


def fit(hardware: Hardware, samples: Sequence[Sample], *, name: str, source: str) -> Fit:
    """The device under the name `name`, its losses fitted to `samples`. UsageError when there are too few."""
    if len(samples) < _FEWEST:
        raise UsageError(f"{len(samples)} timed steps are too few to fit to; take at least {_FEWEST}.")
    kept = [sample for index, sample in enumerate(samples) if index % _HELD_BACK == _HELD_BACK - 1]
    used = [sample for index, sample in enumerate(samples) if index % _HELD_BACK != _HELD_BACK - 1]
    start = np.log([max(_SMALLEST, getattr(hardware.device.losses, field)) for field in _FITTED])

    def residuals(at: Vector) -> Vector:
        return _residuals(hardware, used, at, start)

    found = min((_solve(residuals, start + away) for away in _STARTS), key=lambda at: _square(residuals(at)))
    losses = replace(_losses(hardware, found), basis="calibrated", source=source)
    device = replace(hardware.device, name=name, losses=losses)
    fitted = replace(hardware, device=device)
    return Fit(device, error(fitted, used), error(fitted, kept))


def error(hardware: Hardware, samples: Sequence[Sample]) -> Error:
    """How far off predicted step times are."""
    roofline = Roofline(hardware)
    off = sorted(abs(roofline.seconds(sample.work) / sample.seconds - 1) for sample in samples)
    return Error(off[len(off) // 2], off[-1], len(off))


def _losses(hardware: Hardware, at: Vector) -> Losses:
    values = dict(zip(_FITTED, map(float, np.exp(at)), strict=True))
    return replace(hardware.device.losses, **values)  # type: ignore[arg-type]


def _residuals(hardware: Hardware, samples: Sequence[Sample], at: Vector, start: Vector) -> Vector:
    device = replace(hardware.device, losses=_losses(hardware, at))
    roofline = Roofline(replace(hardware, device=device))
    off = [math.log(roofline.seconds(sample.work) / sample.seconds) for sample in samples]
    return np.concatenate([off, _PULL * (at - start)])


def _solve(residuals: Callable[[Vector], Vector], start: Vector) -> Vector:
    at, off, damping = start, residuals(start), 1e-2
    for _ in range(_ROUNDS):
        slope = _slope(residuals, at, off)
        square = slope.T @ slope
        move = np.linalg.solve(square + damping * np.diag(np.diag(square)), -slope.T @ off)
        then = residuals(at + move)
        if _square(then) < _square(off):
            at, off, damping = at + move, then, damping / 3
        else:
            damping *= 4
        if damping > 1e9 or np.abs(move).max() < 1e-7:
            break
    return at


def _square(off: Vector) -> float:
    return float(off @ off)


def _slope(residuals: Callable[[Vector], Vector], at: Vector, off: Vector, width: float = 1e-5) -> Vector:
    columns = [(residuals(at + width * unit) - off) / width for unit in np.eye(len(at))]
    return np.stack(columns, 1)
