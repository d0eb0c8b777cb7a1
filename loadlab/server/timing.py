"""When the tokens of the sim engine are due: constants, distributions, and gaps that grow with the batch.

Knows arithmetic and luck, no clock. Lengths of time are nanoseconds.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.units import NS_PER_S, parse_duration

_FORMS = "write 50ms, uniform:40ms:60ms, exponential:50ms, lognormal:50ms:0.3 or gamma:50ms:0.3"


@dataclass(frozen=True, slots=True)
class Delay:
    """A length of time to draw: `low_ns` to `high_ns` (uniform), or of mean `mean_ns` and variation `cv`."""

    kind: str = "constant"
    mean_ns: float = 0.0
    cv: float = 0.0
    low_ns: float = 0.0
    high_ns: float = 0.0

    def draws(self, chance: random.Random) -> Callable[[], int]:
        """A function that draws the next one."""
        return _DRAWS[self.kind](self, chance)


def constant(mean_ns: float) -> Delay:
    """Always the same."""
    return Delay(mean_ns=mean_ns)


def parse_delay(text: str) -> Delay:
    """The delay of "50ms", "uniform:40ms:60ms", "exponential:50ms", "lognormal:50ms:0.3", "gamma:50ms:0.3".

    The last number of lognormal and gamma is the coefficient of variation. Raises UsageError.
    """
    kind, *values = text.split(":") if ":" in text else ("constant", text)
    try:
        match kind, values:
            case (("constant" | "exponential"), [mean]):
                return Delay(kind, _ns(mean))
            case "uniform", [low, high]:
                return _uniform(_ns(low), _ns(high))
            case (("lognormal" | "gamma"), [mean, cv]) if float(cv) > 0:
                return Delay(kind, _ns(mean), float(cv))
    except (ValueError, UsageError) as error:
        raise UsageError(f"'{text}' is not a length of time: {_FORMS}.") from error
    if kind not in _DRAWS:
        raise UnknownNameError("distribution", kind, _DRAWS)
    raise UsageError(f"'{text}' is not a length of time: {_FORMS}.")


def _uniform(low_ns: float, high_ns: float) -> Delay:
    if high_ns < low_ns:
        raise ValueError("the second bound is below the first")
    return Delay("uniform", (low_ns + high_ns) / 2, low_ns=low_ns, high_ns=high_ns)


def _ns(duration: str) -> float:
    return parse_duration(duration) * NS_PER_S


def _draw_constant(of: Delay, chance: random.Random) -> Callable[[], int]:
    value = round(of.mean_ns)
    return lambda: value


def _draw_uniform(of: Delay, chance: random.Random) -> Callable[[], int]:
    low, high = of.low_ns, of.high_ns
    return lambda: round(chance.uniform(low, high))


def _draw_exponential(of: Delay, chance: random.Random) -> Callable[[], int]:
    mean = of.mean_ns
    return lambda: round(chance.expovariate(1.0) * mean)


def _draw_lognormal(of: Delay, chance: random.Random) -> Callable[[], int]:
    variance = math.log1p(of.cv**2)
    mean, mu, sigma = of.mean_ns, -variance / 2, math.sqrt(variance)
    return lambda: round(mean * chance.lognormvariate(mu, sigma))


def _draw_gamma(of: Delay, chance: random.Random) -> Callable[[], int]:
    shape = 1 / of.cv**2
    scale = of.mean_ns / shape
    return lambda: round(chance.gammavariate(shape, scale))


_DRAWS = {
    "constant": _draw_constant,
    "uniform": _draw_uniform,
    "exponential": _draw_exponential,
    "lognormal": _draw_lognormal,
    "gamma": _draw_gamma,
}


@dataclass(frozen=True, slots=True)
class Timing:
    """When tokens are due: `ttft` after the arrival, then `itl` after the token before.

    Each gap is longer by `per_stream_ns` for every other stream that runs when the token before was due.
    """

    ttft: Delay = field(default_factory=lambda: constant(50_000_000))
    itl: Delay = field(default_factory=lambda: constant(10_000_000))
    per_stream_ns: int = 0


def with_jitter(delay: Delay, cv: float) -> Delay:
    """A constant made lognormal with that coefficient of variation. Raises UsageError for a distribution."""
    if cv < 0:
        raise UsageError(f"--jitter {cv:g} is no coefficient of variation; it must be at least 0.")
    if not cv:
        return delay
    if delay.kind != "constant":
        raise UsageError(
            f"--jitter {cv:g} spreads constants, but a {delay.kind} was given; drop one of them."
        )
    return Delay("lognormal", delay.mean_ns, cv)
