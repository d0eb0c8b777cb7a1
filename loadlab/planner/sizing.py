"""A capacity and a demand to replicas, GPUs, nodes and money. Arithmetic; every refusal was made before."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.percentiles import Sample, percentile
from loadlab.core.errors import MeasurementError
from loadlab.core.money import Price
from loadlab.core.units import number
from loadlab.planner import monotone
from loadlab.planner.ask import Ask
from loadlab.planner.capacity import Capacity
from loadlab.planner.commands import sweep_command
from loadlab.planner.demand import Demand
from loadlab.planner.measured import Measured, Step

HOURS_PER_MONTH = 730.0
LENGTHS_APART = 0.25
_SLACK = 1e-9
POINTS = (("ttft_ms", "p50"), ("ttft_ms", "p95"), ("tpot_ms", "p50"), ("e2e_ms", "p95"))
_QUANTILE = {"p50": 0.50, "p95": 0.95}


@dataclass(frozen=True, slots=True, eq=False)
class Sized:
    """Replicas for a peak, spare included; `fewest` and `most` come of the capacity's interval.

    `peak` and the capacities are in `unit`. Of one replica: `per_replica` is what the plan is sized with (the
    low end), `point` and `high` beside it; `load` at the peak, in the unit of the sweep; `latencies` expected
    there, None where that load was not measured. `utilisation`: of `point`, with every replica in service;
    `degraded`: with the spare ones lost. Money in USD; tokens are means per request.
    """

    peak: float
    unit: str
    replicas: int
    fewest: int
    most: int
    spare: int
    per_replica: float
    point: float
    high: float
    load: float
    utilisation: float
    degraded: float
    latencies: dict[str, float | None]
    gpus_per_replica: int
    gpus: int
    nodes: int | None
    price: Price | None
    unpriced: str
    usd_per_hour: float | None
    peak_rate: float
    mean_rate: float | None
    prompt_tokens: float | None
    output_tokens: float | None
    watt_per_replica: float | None
    doubts: tuple[str, ...]

    @property
    def usd_per_month(self) -> float | None:
        """For 730 hours."""
        return None if self.usd_per_hour is None else self.usd_per_hour * HOURS_PER_MONTH

    def usd_per_mtok(self, rate: float | None) -> float | None:
        """Per million output tokens at a rate in req/s, hours paid in full."""
        tokens = (rate or 0.0) * (self.output_tokens or 0.0) * 3600 / 1e6
        return None if self.usd_per_hour is None or not tokens else self.usd_per_hour / tokens

    @property
    def kwh_per_month(self) -> float | None:
        """What the GPUs would use at the peak all month: more than they will."""
        if self.watt_per_replica is None:
            return None
        return self.watt_per_replica * self.replicas * HOURS_PER_MONTH / 1000


def replicas_for(peak: float, per_replica: float, headroom: float, spare: int) -> int:
    """ceil(peak / ((1 - headroom) × per_replica)) + spare; at least one serves."""
    return max(1, math.ceil(peak / ((1 - headroom) * per_replica) - _SLACK)) + spare


def size(found: Capacity, demand: Demand, ask: Ask, price: Price | None, unpriced: str) -> Sized:
    """The answer for one sweep. `demand` is already grown. Raises MeasurementError for other lengths."""
    measured, doubts = found.measured, list[str]()
    _check_lengths(measured, demand, ask)
    peak, unit, (low, point, high) = _in_one_unit(found, demand, ask, doubts)
    counts = [replicas_for(peak, each, ask.headroom, ask.spare) for each in (low, point, high)]
    replicas = counts[0]
    share = peak / replicas / point
    load = peak / replicas * (found.load / point)
    gpus_each = ask.gpus_per_replica or measured.gpus or 1
    if not (ask.gpus_per_replica or measured.gpus):
        doubts.append("no GPU was seen at work: one per replica is assumed (--gpus-per-replica)")
    nodes, gpus = hardware(replicas, gpus_each, ask.gpus_per_node)
    serving = replicas - ask.spare
    peak_rate = peak if unit == "req/s" else peak / point * rate_at(measured, found.load)
    return Sized(
        peak=peak,
        unit=unit,
        replicas=replicas,
        fewest=counts[2],
        most=replicas,
        spare=ask.spare,
        per_replica=low,
        point=point,
        high=high,
        load=load,
        utilisation=share,
        degraded=peak / serving / point,
        latencies={f"{name}.{stat}": latency(measured, name, stat, load) for name, stat in POINTS},
        gpus_per_replica=gpus_each,
        gpus=gpus,
        nodes=nodes,
        price=price,
        unpriced=unpriced,
        usd_per_hour=hourly_usd(price, replicas, gpus),
        peak_rate=peak_rate,
        mean_rate=demand.mean,
        prompt_tokens=_known(found.held.tokens("prompt_tokens")),
        output_tokens=_known(found.held.tokens("output_tokens")),
        watt_per_replica=interpolated(measured, lambda step: step.hardware("gpu_power_w"), load),
        doubts=tuple(doubts),
    )


def hourly_usd(price: Price | None, replicas: int, gpus: int) -> float | None:
    """USD per hour: a price per device times the GPUs, one of a deployment times the replicas."""
    if price is None or price.usd_per_hour is None:
        return None
    return price.usd_per_hour * (gpus if price.units is None else replicas)


def _in_one_unit(
    found: Capacity, demand: Demand, ask: Ask, doubts: list[str]
) -> tuple[float, str, tuple[float, float, float]]:
    """The peak and the capacity (low, point, high) in the same unit."""
    ends = found.low, found.load, found.high
    closed = found.measured.axis == "users"
    if demand.unit == "users":
        e2e_s = _e2e_s(found, found.low * (1 - ask.headroom))
        if closed:
            busy = e2e_s / (e2e_s + ask.think_s) if ask.think_s else 1.0
            return demand.peak * busy, "users", ends
        doubts.append("users became req/s by Little's law: users / (end-to-end latency + think time)")
        return demand.peak / (e2e_s + ask.think_s), "req/s", ends
    if not closed:
        return demand.peak, "req/s", ends
    doubts.append(
        "measured in a closed loop, where no request meets a queue of others: arrivals of their own will "
        "wait longer. Measure with --rate before you rent"
    )
    low, point, high = (rate_at(found.measured, load) for load in ends)
    return demand.peak, "req/s", (low, point, high)


def _e2e_s(found: Capacity, load: float) -> float:
    """The mean end-to-end latency at a load; below the lightest measured one, that of it."""
    steps = found.measured.stable
    return float(np.interp(load, [step.load for step in steps], [step.e2e_s for step in steps]))


def rate_at(measured: Measured, load: float) -> float:
    """Answers per second at a load, straight between the measured ones."""
    steps = measured.stable
    return float(np.interp(load, [step.load for step in steps], [step.rate for step in steps]))


def interpolated(measured: Measured, of: Callable[[Step], float | None], load: float) -> float | None:
    """Between measured loads; None beyond them or where one of them lacks it."""
    steps = measured.stable
    values = [of(step) for step in steps]
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not steps[0].load <= load <= steps[-1].load:
        return None
    return float(np.interp(load, [step.load for step in steps], known))


def latency(measured: Measured, metric: str, stat: str, load: float) -> float | None:
    """A percentile (ms) of a metric between measured loads; None beyond them, or where one lacks it."""
    x, y = latency_points(measured, metric, stat)
    if len(x) < len(measured.stable):
        return None
    found = monotone.at(x, y, load)
    return None if found is None else math.exp(found)


def latency_points(measured: Measured, metric: str, stat: str) -> tuple[Sample, Sample]:
    """Loads, and the isotonic logarithm of the percentile of all repeats at each."""
    points = [(step.load, *_quantile(step, metric, stat)) for step in measured.stable]
    known = [(x, value, n) for x, value, n in points if value and value > 0]
    if not known:
        return np.empty(0), np.empty(0)
    x, y, n = (np.array(column, np.float64) for column in zip(*known, strict=True))
    return x, monotone.isotonic(np.log(y), n)


def _quantile(step: Step, metric: str, stat: str) -> tuple[float | None, int]:
    values = np.concatenate([seen.sample(metric) for seen in step.seen])
    return percentile(values, _QUANTILE[stat]), int(np.isfinite(values).sum())


def hardware(replicas: int, gpus_each: int, per_node: int | None) -> tuple[int | None, int]:
    """Nodes (None where their size is not given) and the GPUs that are paid for: whole nodes."""
    if per_node is None:
        return None, replicas * gpus_each
    if gpus_each > per_node:
        nodes = replicas * math.ceil(gpus_each / per_node)
    else:
        nodes = math.ceil(replicas / (per_node // gpus_each))
    return nodes, nodes * per_node


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _check_lengths(measured: Measured, demand: Demand, ask: Ask) -> None:
    """Other lengths are another curve. Raises MeasurementError that says which to measure."""
    if ask.as_measured:
        return
    held = measured.stable[0]
    pairs = (("prompt_tokens", demand.prompt_tokens), ("output_tokens", demand.output_tokens))
    apart = []
    for name, wanted in pairs:
        own = _known(held.tokens(name))
        if wanted and own and abs(wanted / own - 1) > LENGTHS_APART:
            apart.append(f"{name.replace('_', ' ')} {number(wanted)} asked, {number(own)} measured")
    if apart:
        flags = {
            "prompt_tokens": round(demand.prompt_tokens or 0) or None,
            "max_tokens": round(demand.output_tokens or 0) or None,
        }
        command = sweep_command(
            measured, [step.load for step in measured.steps], **{k: v for k, v in flags.items() if v}
        )
        raise MeasurementError(
            f"requests of these lengths were not measured ({'; '.join(apart)}), and latency does not follow "
            f"from other lengths. Measure them, or plan with --as-measured:\n  {command} --exact-length"
        )
