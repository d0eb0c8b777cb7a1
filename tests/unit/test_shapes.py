import itertools
import math
import statistics
from pathlib import Path

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Arrivals, Level
from loadlab.core.units import NS_PER_S
from loadlab.shapes import arrivals, parse_profile, schedule_seed


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


def test_gamma_gaps_have_their_mean_and_variation() -> None:
    level = Level(0, rate=100.0, arrivals="gamma", cv=2.0, requests=40_000)
    gaps = [(b - a) / NS_PER_S for a, b in itertools.pairwise(arrivals(level, 5))]
    mean, deviation = statistics.fmean(gaps), statistics.stdev(gaps)
    assert mean == pytest.approx(0.01, rel=0.03)
    assert deviation / mean == pytest.approx(2.0, rel=0.05)


def test_a_profile_is_followed() -> None:
    level = Level(0, rate=1.0, arrivals="constant", profile="0s:10,10s:10,10s:30,20s:50,30s:0")
    seconds = [offset / NS_PER_S for offset in arrivals(level, 1)]
    assert len(seconds) == 100 + 400 + 250
    assert sum(second < 10 for second in seconds) == 100
    assert sum(10 <= second < 20 for second in seconds) == 400
    # In the last line the rate falls from 50 to 0: three quarters of its area lie in its first half.
    assert sum(20 <= second < 25 for second in seconds) == pytest.approx(187.5, abs=1)
    assert seconds == sorted(seconds)


def test_a_profile_that_pauses() -> None:
    level = Level(0, rate=1.0, arrivals="poisson", profile="0s:50,5s:50,5s:0,10s:0,10s:50,15s:50")
    seconds = [offset / NS_PER_S for offset in arrivals(level, 3)]
    assert len(seconds) == pytest.approx(500, abs=3 * math.sqrt(500))
    assert not any(5 < second < 10 for second in seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0s:1", "two points"),
        ("1s:1,2s:1", "begin at 0s"),
        ("0s:1,5s:2,3s:1", "back in time"),
        ("0s:0,5s:0", "no requests"),
        ("0s:5,5s:-1", "no requests"),
        ("0s:a,5s:1", "not understood"),
        ("0s,5s:1", "not understood"),
    ],
)
def test_a_bad_profile_says_why(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_profile(text)


def test_a_trace_is_played_at_its_speed(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text('{"timestamp": 1000}\n{"timestamp": 1500}\n\n{"timestamp": 4000}\n')
    level = Level(0, rate=1.0, arrivals="trace", trace=str(path), speed=2.0)
    assert [offset / NS_PER_S for offset in arrivals(level, 1)] == [0.0, 0.25, 1.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ('{"timestamp": 5}\n{"timestamp": 4}', "entry 2"),
        ('{"time": 5}', "line 1"),
        ("[]", "line 1"),
        ('{"timestamp": 1}\nnonsense', "line 2"),
    ],
)
def test_a_bad_trace_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        list(arrivals(Level(0, rate=1.0, arrivals="trace", trace=str(path)), 1))


def test_levels_of_one_run_do_not_share_their_seed() -> None:
    seeds = {schedule_seed(seed, index) for seed in range(100) for index in range(100)}
    assert len(seeds) == 100 * 100


def test_a_closed_level_has_no_schedule() -> None:
    with pytest.raises(UsageError, match="no rate"):
        next(arrivals(Level(3, users=1, requests=1), 1))
