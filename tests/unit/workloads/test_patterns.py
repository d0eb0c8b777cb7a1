"""Patterns between requests: what is shared, copied, repeated or long, and equal for equal seeds."""

from __future__ import annotations

from itertools import islice

import pytest

from loadlab.core.nouns import Request
from loadlab.workloads import Copying, LongAmongShort, Repeats, SharedPrefix, Workload

ALL = (SharedPrefix(), Copying(), Repeats(), LongAmongShort())


def drawn(workload: Workload, count: int = 200, seed: int = 1) -> list[Request]:
    return list(islice(workload.requests(seed), count))


def size(request: Request) -> int:
    return sum(len(turn.content.split()) for turn in request.messages)


@pytest.mark.parametrize("workload", ALL, ids=lambda workload: type(workload).__name__)
def test_equal_seeds_give_equal_requests_of_full_length(workload: Workload) -> None:
    assert drawn(workload) == drawn(workload)
    assert drawn(workload) != drawn(workload, seed=2)
    assert all(request.ignore_eos for request in drawn(workload))


def test_a_prefix_is_shared_and_no_question_is() -> None:
    requests = drawn(SharedPrefix(prefix_tokens=50, question_tokens=9))
    assert {request.messages[0].role for request in requests} == {"system"}
    assert len({request.messages[0].content for request in requests}) == 1
    assert len({request.messages[1].content for request in requests}) == len(requests)
    assert size(requests[0]) == 59


def test_a_copy_is_asked_for_with_the_text_in_view() -> None:
    first, second = drawn(Copying(text_tokens=12), 2)
    assert first != second
    lines = first.messages[0].content.splitlines()
    assert lines[1] == lines[3]
    assert len(lines[1].split()) == 12


def test_repeats_are_few() -> None:
    assert len({request.messages for request in drawn(Repeats(questions=5))}) == 5


def test_one_in_so_many_is_long() -> None:
    sizes = [
        size(request) for request in drawn(LongAmongShort(every=4, short_tokens=5, long_tokens=100), 2000)
    ]
    assert set(sizes) == {5, 100}
    assert sizes.count(100) == pytest.approx(500, rel=0.15)
