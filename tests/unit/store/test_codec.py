from __future__ import annotations

import random

import pytest

from loadlab.store import codec


def test_arrivals_come_back_within_half_a_microsecond_however_many_there_are() -> None:
    dice, now, arrivals = random.Random(1), 10**15, []
    for _ in range(5000):
        now += dice.randrange(0, 30_000_000)
        arrivals.append(now)
    number, blob = codec.encode(arrivals, 10**15)
    back = codec.decode(number, blob, 10**15)
    assert max(abs(a - b) for a, b in zip(arrivals, back, strict=True)) <= 500


def test_an_hour_and_a_half_between_two_tokens_does_not_overflow() -> None:
    arrivals = [5_000, 5_400_000_005_000]
    number, blob = codec.encode(arrivals, 0)
    assert codec.decode(number, blob, 0) == arrivals


def test_an_arrival_before_its_base_is_kept_as_it_is() -> None:
    number, blob = codec.encode([1_000, 9_000], 5_000)
    assert codec.decode(number, blob, 5_000) == [1_000, 9_000]


def test_one_arrival_needs_four_bytes_and_a_long_steady_stream_less_than_one_each() -> None:
    assert len(codec.encode([7_000], 0)[1]) == 4
    assert len(codec.encode(range(0, 10_000_000_000, 10_000_000), 0)[1]) < 1000


def test_gaps_leave_out_the_first_arrival_of_each_blob_and_mix_every_encoding() -> None:
    steady, pair, single = range(0, 10**9, 10**7), [0, 5_400_000_000_000], [42_000]
    blobs = [codec.encode(arrivals, 0) for arrivals in (steady, single, pair, [0, 2_500_000])]
    gaps, counts = codec.gaps_ms(*zip(*blobs, strict=True))
    assert counts.tolist() == [99, 0, 1, 1]
    assert gaps.tolist() == [10.0] * 99 + [5_400_000.0, 2.5]


def test_no_blobs_have_no_gaps() -> None:
    gaps, counts = codec.gaps_ms([], [])
    assert gaps.tolist() == counts.tolist() == []


@pytest.mark.parametrize("arrivals", [[], [0]])
def test_short_answers_round_trip(arrivals: list[int]) -> None:
    assert codec.decode(*codec.encode(arrivals, 0), 0) == arrivals
