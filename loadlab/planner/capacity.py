"""How much load one replica holds under an SLO, with an interval; never above what was measured.

Each requirement is a curve over the load: isotonic, then monotone cubic, latencies in logarithms. The
capacity is the highest load at which all of them keep their limits. Its interval comes of doing the same to
resampled measurements: repeats of a load, and within each run blocks of neighbouring requests.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from loadlab.analysis.percentiles import Sample
from loadlab.core.errors import MeasurementError, SloError
from loadlab.core.units import number
from loadlab.planner.commands import sweep_command
from loadlab.planner.criteria import Criterion
from loadlab.planner.fitted import DRAWS, SEED, Fitted, fit
from loadlab.planner.measured import Measured, Step, mean_gap_variation, work_variation

TAILS = (0.05, 0.95)
CLOSE = 0.05  # a bracket of the capacity narrower than this needs no further level
CLIFF_GAP, CLIFF_RISE = 0.10, 3.0
_FEWEST_BEYOND = 1.0
LONG_ENOUGH = 3000


@dataclass(frozen=True, slots=True, eq=False)
class Capacity:
    """The load one replica holds: `load` with `low` … `high`, in 90 of 100 sweeps like this one.

    `binding`: the requirement that ends it. `held` and `missed`: the measured loads on both sides of it;
    nothing missed means that it may be more. `cliff`: between them the curve is a guess. `doubts`: in words.
    """

    measured: Measured
    fits: tuple[Fitted, ...]
    load: float
    low: float
    high: float
    binding: str
    held: Step
    missed: Step | None
    why_missed: str
    cliff: str
    doubts: tuple[str, ...]
    scatter: Sample

    @property
    def at_least(self) -> bool:
        """Whether no measured load missed the SLO: the capacity may be higher."""
        return self.missed is None

    def stretched(self, factor: float) -> float:
        """The low end if every latency limit were so many times as wide; NaN where no load keeps it."""
        point, draws = _highest(self.fits, factor)
        low = _tail(draws * self.scatter, TAILS[0])
        return min(low, point) if math.isfinite(low) else low


def capacity(measured: Measured, criteria: Sequence[Criterion]) -> Capacity:
    """The capacity of one replica. Raises SloError, and MeasurementError where it would be a guess."""
    steps = measured.stable
    if not steps:
        raise MeasurementError(
            f"every measured load of {measured.name} was unstable, so none has percentiles; measure a "
            f"lighter one:\n  {sweep_command(measured, _below(measured))}"
        )
    _check_samples(measured, steps, criteria)
    fits = tuple(fit(criterion, steps) for criterion in criteria)
    point, draws = _highest(fits)
    if math.isnan(point):
        raise SloError(_not_held(measured, steps[0], fits))
    scatter = _scatter(measured, max((step for step in steps if step.load <= point), key=_load))
    low, high = (_tail(draws * scatter, share) for share in TAILS)
    if math.isnan(low):
        raise MeasurementError(_too_uncertain(measured, steps[0]))
    ends = min(low, point), min(max(high, point), steps[-1].load)
    return _answer(measured, steps, fits, (point, *ends), scatter)


def _load(step: Step) -> float:
    return step.load


def _scatter(measured: Measured, step: Step) -> Sample:
    """How far the load that a level offered may lie from the one it is named after, as factors.

    An open loop of n requests offers n in more or less time, and more or less work in them, at the loads on
    both sides of the capacity. Resampling one run does not show that, repeats show part of it.
    """
    if measured.axis == "users":
        return np.ones(DRAWS)
    spread = _variation(mean_gap_variation(step.seen[0])) + _variation(work_variation(step))
    error = math.sqrt(2 * spread / max(1, step.answers))
    factors: Sample = np.exp(np.random.default_rng(SEED).normal(0.0, error, DRAWS))
    return factors


def _variation(squared: float) -> float:
    return squared if math.isfinite(squared) else 0.0


def _answer(
    measured: Measured,
    steps: Sequence[Step],
    fits: tuple[Fitted, ...],
    found: tuple[float, float, float],
    scatter: Sample,
) -> Capacity:
    point = found[0]
    held = max((step for step in steps if step.load <= point * (1 + 1e-9)), key=_load)
    missed = next((step for step in measured.steps if step.load > held.load), None)
    binding = min(fits, key=lambda fit: fit.highest(fit.y[None, :])[0])
    why = _why(missed, binding)
    cliff = _cliff(held, missed, binding)
    doubts = tuple(_doubts(measured, steps, held))
    name = binding.criterion.words if missed is not None and not missed.unstable else ""
    return Capacity(measured, fits, *found, name, held, missed, why, cliff, doubts, scatter)


def _highest(fits: Sequence[Fitted], stretch: float = 1.0) -> tuple[float, Sample]:
    """Where all requirements still hold: on the curves, and on each draw of them. NaN: nowhere."""
    point = float(np.min([fit.highest(fit.y[None, :], stretch)[0] for fit in fits]))
    draws: Sample = np.min([fit.highest(fit.draws, stretch) for fit in fits], axis=0)
    return point, draws


def _tail(draws: Sample, share: float) -> float:
    """The quantile of the draws; one in which no load holds is below all others."""
    ordered = np.sort(np.nan_to_num(draws, nan=-np.inf))
    found = float(ordered[min(int(share * ordered.size), ordered.size - 1)])
    return found if math.isfinite(found) else math.nan


def _check_samples(measured: Measured, steps: Sequence[Step], criteria: Sequence[Criterion]) -> None:
    for criterion in criteria:
        if criterion.quantile is None:
            continue
        needed = math.ceil(_FEWEST_BEYOND / (1 - criterion.quantile) - 1e-6)
        if few := [step for step in steps if step.answers and _count(criterion, step) < needed]:
            told = ", ".join(f"{step.label}: {_count(criterion, step)}" for step in few)
            command = sweep_command(measured, [step.load for step in few], requests=10 * needed)
            raise MeasurementError(
                f"too few requests for '{criterion.words}' ({told}; at least {needed} are needed). Measure "
                f"longer:\n  {command}"
            )


def _count(criterion: Criterion, step: Step) -> int:
    return sum(criterion.values(seen).size for seen in step.seen)


def _below(measured: Measured) -> list[float]:
    lightest = measured.steps[0].load
    if measured.axis == "users":
        return [max(1, round(lightest * share)) for share in (0.25, 0.5)] if lightest > 1 else [1]
    return [round(lightest * share, 3) for share in (0.25, 0.5)]


def _not_held(measured: Measured, first: Step, fits: Sequence[Fitted]) -> str:
    broken = [fit for fit in fits if fit.y[0] > fit.limit()]
    told = "; ".join(f"{fit.criterion.words}, found {_found(fit, 0)}" for fit in broken)
    lower = _below(measured)
    more = f" A lighter load may:\n  {sweep_command(measured, lower)}" if lower[0] < first.load else ""
    return (
        f"{measured.name} does not hold the SLO at the lightest measured load, {first.label} ({told}). More "
        f"replicas of it do not help unless a lighter load holds.{more}"
    )


def _found(fit: Fitted, place: int) -> str:
    criterion = fit.criterion
    if not criterion.limits:
        return f"{number(100 * float(fit.y[place]))} %"
    times = math.exp(min(float(fit.y[place]), 9.3))
    if len(criterion.limits) > 1:
        return f"{number(times)} times its limit"
    ((_, limit),) = criterion.limits.items()
    return "no answer" if times > 5e3 else f"{number(times * limit)} ms"


def _too_uncertain(measured: Measured, first: Step) -> str:
    loads = [*_below(measured)[-1:], first.load]
    command = sweep_command(measured, loads, requests=4 * max(first.answers, 250))
    return (
        f"whether {measured.name} holds the SLO at its lightest measured load, {first.label}, is within the "
        f"error of {first.answers} answers. Measure longer, and lighter:\n  {command}"
    )


def _why(missed: Step | None, binding: Fitted) -> str:
    if missed is None:
        return "the highest load measured still holds"
    if missed.unstable:
        return "unstable: more came than went"
    place = int(np.flatnonzero(binding.x == missed.load)[0])
    return f"{binding.criterion.words}, found {_found(binding, place)}"


def _cliff(held: Step, missed: Step | None, binding: Fitted) -> str:
    if missed is None or missed.load <= held.load * (1 + CLIFF_GAP):
        return ""
    wide = f"between {held.label} and {missed.label} nothing was measured"
    if missed.unstable:
        return f"{wide}, and at the second the server does not keep up"
    here, there = (int(np.flatnonzero(binding.x == step.load)[0]) for step in (held, missed))
    rise = binding.y[there] - binding.y[here]
    if binding.criterion.logarithmic and rise > math.log(CLIFF_RISE):
        return f"{wide}, and the latency rises {math.exp(min(rise, 9.3)):.0f}-fold"
    return ""


def _doubts(measured: Measured, steps: Sequence[Step], held: Step) -> list[str]:
    found = []
    if len(steps) == 1:
        found.append("one load was measured: a point, not a curve")
    suspect = sorted({step.label for step in steps for seen in step.seen if seen.level.verdict == "SUSPECT"})
    if suspect:
        found.append(f"SUSPECT: {', '.join(suspect)}")
    if measured.repeats == 1:
        found.append("measured once: the interval does not know how runs differ from each other")
    shortest = min(seen.level.requests["ok"] for seen in held.seen)
    if measured.axis == "rate" and shortest < LONG_ENOUGH:
        found.append(
            f"{shortest:,} requests a run at {held.label}: near its capacity a queue takes longer to "
            f"fill, so it may look some percent too high; {LONG_ENOUGH:,} are enough"
        )
    return found + [f"left out: {words}" for words in measured.left_out]


def next_loads(found: Capacity) -> list[float]:
    """What to measure next to know the capacity better: inside its bracket, or beyond the last load."""
    held, missed = found.held.load, found.missed
    if missed is None:
        loads = [held * 1.25, held * 1.6]
    elif missed.load <= held * (1 + CLOSE):
        return []
    else:
        loads = [held + (missed.load - held) * share for share in (0.25, 0.5, 0.75)]
    if found.measured.axis == "users":
        whole = {round(load) for load in loads} - {round(step.load) for step in found.measured.steps}
        return [float(load) for load in sorted(whole)]
    return [float(f"{load:.3g}") for load in loads]


def summary_words(found: Capacity) -> dict[str, Any]:
    """The capacity as plain values, for JSON."""
    return {
        "unit": found.measured.unit,
        "load": found.load,
        "low": found.low,
        "high": found.high,
        "at_least": found.at_least,
        "binding": found.binding or None,
        "held": found.held.label,
        "missed": found.missed.label if found.missed else None,
        "why_missed": found.why_missed,
        "cliff": found.cliff or None,
        "doubts": list(found.doubts),
    }
