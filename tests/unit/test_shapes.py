import itertools
import math

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Arrivals, Level
from loadlab.core.units import NS_PER_S
from loadlab.shapes import arrivals


def open_level(
    process: Arrivals, rate: float = 50.0, requests: int | None = None, duration_s: float | None = None
) -> Level:
    return Level(0, rate=rate, arrivals=process, requests=requests, duration_s=duration_s)


def test_constant_gaps_do_not_drift() -> None:
    offsets = list(arrivals(open_level("constant", 3.0, requests=3001), 1))
    assert offsets[3000] == 1000 * NS_PER_S
    assert offsets[0] == 0


def test_the_same_seed_gives_the_same_schedule_and_another_does_not() -> None:
    level = open_level("poisson", requests=100)
    assert list(arrivals(level, 1)) == list(arrivals(level, 1)) != list(arrivals(level, 2))


def test_poisson_gaps_are_exponential() -> None:
    offsets = list(arrivals(open_level("poisson", 200.0, requests=20_000), 7))
    gaps = sorted((b - a) / NS_PER_S for a, b in itertools.pairwise(offsets))
    n = len(gaps)
    distance = max(abs((i + 1) / n - (1 - math.exp(-200 * gap))) for i, gap in enumerate(gaps))
    assert distance < 1.63 / math.sqrt(n)  # Kolmogorov-Smirnov at 1 %


def test_duration_ends_the_schedule() -> None:
    offsets = list(arrivals(open_level("constant", 10.0, duration_s=2.0), 1))
    assert len(offsets) == 20
    assert max(offsets) < 2 * NS_PER_S


def test_the_first_limit_wins() -> None:
    assert len(list(arrivals(open_level("constant", 10.0, requests=5, duration_s=2.0), 1))) == 5


def test_a_closed_level_has_no_schedule() -> None:
    with pytest.raises(UsageError, match="no rate"):
        next(arrivals(Level(3, users=1, requests=1), 1))
