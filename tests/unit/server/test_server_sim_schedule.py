"""The sim engine's schedule is arithmetic: known before anything runs."""

from __future__ import annotations

import math
from collections import Counter
from itertools import accumulate, pairwise
from random import Random
from statistics import mean, stdev

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server.job import Job, Sampling
from loadlab.server.sim import SimEngine, chance_of
from loadlab.server.timing import Delay, Timing, constant, parse_delay, with_jitter

MS = 1_000_000


def job(text: str, max_tokens: int = 10) -> Job:
    return Job("id", SimEngine().encode(text), 0, Sampling(max_tokens=max_tokens))


def offsets(timing: Timing, chance: Random, count: int) -> list[int]:
    """As the engine draws them: the first token, then gap after gap."""
    first, gap = timing.ttft.draws(chance)(), timing.itl.draws(chance)
    return list(accumulate((gap() for _ in range(count - 1)), initial=first))


def test_without_jitter_tokens_are_due_at_ttft_plus_i_times_itl() -> None:
    assert offsets(Timing(constant(50 * MS), constant(10 * MS)), Random(1), 4) == [
        50 * MS,
        60 * MS,
        70 * MS,
        80 * MS,
    ]


def gaps(delay: Delay, count: int = 20_000) -> list[int]:
    return [b - a for a, b in pairwise(offsets(Timing(itl=delay), Random(1), count))]


@pytest.mark.parametrize(
    ("text", "cv"),
    [
        ("lognormal:10ms:0.3", 0.3),
        ("gamma:10ms:0.5", 0.5),
        ("gamma:0.01s:2", 2.0),
        ("exponential:10ms", 1.0),
        ("uniform:4ms:16ms", 12 / math.sqrt(12) / 10),
        ("uniform:10ms:10ms", 0.0),
        ("10ms", 0.0),
    ],
)
def test_a_distribution_has_the_mean_and_spread_asked_for(text: str, cv: float) -> None:
    drawn = gaps(parse_delay(text))
    assert mean(drawn) == pytest.approx(10 * MS, rel=0.04)
    assert stdev(drawn) / mean(drawn) == pytest.approx(cv, rel=0.05)
    assert min(drawn) >= (4 * MS if text.startswith("uniform") else 0)


def test_distributions_differ_where_their_mean_and_spread_do_not() -> None:
    tails = {kind: max(gaps(parse_delay(f"{kind}:10ms:0.5"))) for kind in ("lognormal", "gamma")}
    assert tails["lognormal"] > 1.2 * tails["gamma"]


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "uniform:10ms",
        "uniform:9ms:1ms",
        "lognormal:10ms",
        "gamma:10ms:0",
        "gamma:10ms:x",
        "constant:1:2",
    ],
)
def test_what_is_no_delay_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(UsageError, match=r"lognormal:50ms:0\.3"):
        parse_delay(text)


def test_an_unknown_distribution_gets_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="'gamma'"):
        parse_delay("gama:10ms:0.5")


def test_jitter_is_a_lognormal_of_a_constant() -> None:
    assert with_jitter(parse_delay("10ms"), 0.3) == parse_delay("lognormal:10ms:0.3")
    assert with_jitter(parse_delay("gamma:10ms:2"), 0.0) == parse_delay("gamma:10ms:2")
    with pytest.raises(UsageError, match="drop one"):
        with_jitter(parse_delay("gamma:10ms:2"), 0.3)
    with pytest.raises(UsageError, match="-1"):
        with_jitter(parse_delay("10ms"), -1)


def test_the_schedule_depends_on_seed_and_content_not_on_order() -> None:
    timing = Timing(itl=parse_delay("lognormal:10ms:0.5"), ttft=parse_delay("exponential:50ms"))
    one_way, other_way = Counter[int](), Counter[int]()
    first = {text: offsets(timing, chance_of(job(text), 3, one_way), 5) for text in ("a", "b", "c")}
    again = {text: offsets(timing, chance_of(job(text), 3, other_way), 5) for text in ("c", "b", "a")}
    assert first == again
    assert len({tuple(due) for due in first.values()}) == 3
    assert offsets(timing, chance_of(job("a"), 4, Counter()), 5) != first["a"]


def test_the_same_request_again_gets_other_luck_in_a_known_order() -> None:
    times, again = Counter[int](), Counter[int]()
    draws = [chance_of(job("a"), 0, times).random() for _ in range(3)]
    assert len(set(draws)) == 3
    assert [chance_of(job("a"), 0, again).random() for _ in range(3)] == draws


def test_a_prompt_counts_its_words_and_marks() -> None:
    assert len(SimEngine().encode("Hello, wide world!")) == 5
