"""The sim engine's schedule is arithmetic: known before anything runs."""

from __future__ import annotations

from collections import Counter
from itertools import islice, pairwise
from random import Random
from statistics import mean, stdev

from loadlab.server.job import Job, Sampling
from loadlab.server.sim import SimEngine, Timing, chance_of

MS = 1_000_000


def job(text: str, max_tokens: int = 10) -> Job:
    return Job("id", SimEngine().encode(text), 0, Sampling(max_tokens=max_tokens))


def offsets(timing: Timing, chance: Random, count: int) -> list[int]:
    return list(islice(timing.offsets(chance), count))


def test_without_jitter_tokens_are_due_at_ttft_plus_i_times_itl() -> None:
    assert offsets(Timing(50 * MS, 10 * MS), Random(1), 4) == [50 * MS, 60 * MS, 70 * MS, 80 * MS]


def test_jitter_has_the_mean_and_spread_asked_for() -> None:
    due = offsets(Timing(50 * MS, 10 * MS, jitter=0.3), Random(1), 20_000)
    gaps = [b - a for a, b in pairwise(due)]
    assert abs(mean(gaps) / (10 * MS) - 1) < 0.02
    assert abs(stdev(gaps) / mean(gaps) - 0.3) < 0.02
    assert min(gaps) > 0


def test_the_schedule_depends_on_seed_and_content_not_on_order() -> None:
    timing = Timing(jitter=0.5)
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
