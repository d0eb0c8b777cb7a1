"""What-ifs and descriptions beside a plan: bursts, pooling, the batch law, the scalability law.

None of these is the answer. A server that batches is no M/M/c queue; the formulas say how things tend.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from loadlab.analysis.percentiles import Sample
from loadlab.planner.measured import Measured, Step, work_variation

FEWEST_USL = 6
_DRAWS = 400
POOLS = (1, 2, 4, 8, 16, 32)
_WAIT = 0.25
_HALVINGS = 60


@dataclass(frozen=True, slots=True)
class BatchLaw:
    """step = a + b × active, fitted to the median time per token: ms, and ms per request under way."""

    a_ms: float
    b_ms: float
    r2: float
    worst: float

    @property
    def words(self) -> str:
        """One sentence."""
        return (
            f"time per token ≈ {self.a_ms:.3g} ms + {self.b_ms:.3g} ms × requests under way "
            f"(R² {self.r2:.2f}, worst point {100 * self.worst:.0f} % off)"
        )


@dataclass(frozen=True, slots=True)
class Usl:
    """Gunther's law X(N) = γN / (1 + σ(N−1) + κN(N−1)), N requests under way; 90 % intervals."""

    gamma: float
    sigma: float
    kappa: float
    sigma_interval: tuple[float, float]
    kappa_interval: tuple[float, float]

    @property
    def peak(self) -> float | None:
        """The N of the highest throughput; None where the interval of κ holds 0: no peak was seen."""
        if self.kappa_interval[0] <= 1e-12:
            return None
        return math.sqrt(max(0.0, (1 - self.sigma) / self.kappa))

    @property
    def words(self) -> str:
        """One sentence."""
        top = f"; throughput would peak at {self.peak:.0f}" if self.peak else "; no peak was seen"
        return (
            f"throughput(N under way) ≈ {self.gamma:.3g}·N / "
            f"(1 + {self.sigma:.3g}(N−1) + {self.kappa:.2g}·N(N−1)){top}"
        )


def batch_law(measured: Measured) -> BatchLaw | None:
    """The fit over the stable loads; None below three of them, or without a time per token."""
    points = [
        (_active(measured, step), step.mean(lambda seen: seen.sample("tpot_ms"))) for step in measured.stable
    ]
    known = [(n, value) for n, value in points if math.isfinite(n) and math.isfinite(value)]
    if len(known) < 3:
        return None
    n, tpot = (np.array(column) for column in zip(*known, strict=True))
    design = np.column_stack([np.ones_like(n), n])
    (a, b), *_ = np.linalg.lstsq(design, tpot, rcond=None)
    rest = tpot - design @ np.array([a, b])
    total = float(((tpot - tpot.mean()) ** 2).sum())
    r2 = 1 - float((rest**2).sum()) / total if total else 1.0
    return BatchLaw(float(a), float(b), r2, float(np.abs(rest / tpot).max()))


def usl(measured: Measured) -> Usl | None:
    """The fit over all loads, unstable ones left out; None below six of them."""
    points = [(_active(measured, step), step.rate) for step in measured.stable]
    known = [(n, rate) for n, rate in points if n > 0 and rate > 0]
    if len(known) < FEWEST_USL:
        return None
    n, rate = (np.array(column) for column in zip(*known, strict=True))
    fit = _usl(n, rate)
    rest = np.log(rate / _throughput(n, *fit))
    rng = np.random.default_rng(11)
    again = np.array(
        [_usl(n, _throughput(n, *fit) * np.exp(rng.choice(rest, rest.size))) for _ in range(_DRAWS)]
    )
    low, high = np.quantile(again, [0.05, 0.95], axis=0)
    return Usl(*fit, (float(low[1]), float(high[1])), (float(low[2]), float(high[2])))


def _throughput(n: Sample, gamma: float, sigma: float, kappa: float) -> Sample:
    return gamma * n / (1 + sigma * (n - 1) + kappa * n * (n - 1))


def _usl(n: Sample, rate: Sample) -> tuple[float, float, float]:
    """Least squares of N/X, which is linear in 1/γ, σ/γ and κ/γ; none of them negative."""
    design = np.column_stack([np.ones_like(n), n - 1, n * (n - 1)])
    target, weight = n / rate, rate / n  # relative errors count alike
    best, least = (1.0, 0.0, 0.0), math.inf
    for kept in itertools.chain.from_iterable(itertools.combinations((1, 2), count) for count in (0, 1, 2)):
        columns = [0, *kept]
        part, *_ = np.linalg.lstsq(design[:, columns] * weight[:, None], target * weight, rcond=None)
        error = float((((design[:, columns] @ part) - target) ** 2 * weight**2).sum())
        if (part >= 0).all() and part[0] > 0 and error < least - 1e-15:
            full = np.zeros(3)
            full[columns] = part
            best, least = (1 / full[0], full[1] / full[0], full[2] / full[0]), error
    return float(best[0]), float(best[1]), float(best[2])


def _active(measured: Measured, step: Step) -> float:
    return step.load if measured.axis == "users" else step.in_flight


def burst_factor(gap_variation: float, work: float) -> float:
    """How much longer waits are for arrivals of this Ca² than for Poisson's (Allen and Cunneen)."""
    return (gap_variation + work) / (1 + work)


def work_of(measured: Measured) -> float:
    """Cs²: how much the work of requests varies, at the lightest load; 0 where it is not known."""
    found = work_variation(measured.stable[0])
    return found if math.isfinite(found) else 0.0


def burst_ttft_ms(measured: Measured, at_ms: float, gap_variation: float) -> float | None:
    """A mean TTFT corrected for bursts: only its part above the lightest load's stretches."""
    lightest = measured.stable[0]
    alone = lightest.mean(lambda seen: seen.sample("ttft_planned_ms"))
    if not math.isfinite(alone):
        return None
    return alone + max(0.0, at_ms - alone) * burst_factor(gap_variation, work_of(measured))


def erlang_c(servers: int, offered: float) -> float:
    """The chance to wait in M/M/c with `offered` = arrivals × service time, below `servers`."""
    blocked = 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    busy = offered / servers
    return blocked / (1 - busy * (1 - blocked))


def pooled_utilisation(servers: int, wait: float = _WAIT) -> float:
    """How busy M/M/c may be for a mean wait of so many service times: more servers, fuller."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        mean = erlang_c(servers, middle * servers) / (servers * (1 - middle))
        low, high = (middle, high) if mean <= wait else (low, middle)
    return low


def pooling(counts: Sequence[int] = POOLS) -> list[tuple[int, float]]:
    """(servers, utilisation) at a mean wait of a quarter of a service time."""
    return [(count, pooled_utilisation(count)) for count in counts]
