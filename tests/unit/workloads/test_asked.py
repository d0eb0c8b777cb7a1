"""The same prompts for every vendor, marked so that no cache helps, or beginning alike on purpose."""

from __future__ import annotations

from itertools import islice

import pytest

from loadlab.core.errors import UsageError
from loadlab.workloads import Asked, asked


def texts(workload: Asked, seed: int = 7, count: int = 20) -> list[str]:
    return [request.messages[-1].content for request in islice(workload.requests(seed), count)]


def test_vendors_get_the_same_prompts_under_other_marks() -> None:
    one, other = (texts(Asked(50, nonce=name)) for name in ("november/alpha", "november/beta"))
    assert [text.partition("] ")[2] for text in one] == [text.partition("] ")[2] for text in other]
    marks = {text.partition("] ")[0] for text in (*one, *other)}
    assert len(marks) == 40
    assert len({len(mark) for mark in marks}) == 1


def test_a_shared_beginning_is_the_same_in_every_run() -> None:
    requests = [next(Asked(50, prompt_tokens=20, prefix_tokens=100).requests(seed)) for seed in (1, 2)]
    assert requests[0].messages[0] == requests[1].messages[0]
    assert requests[0].messages[0].role == "system"
    assert requests[0].messages[1] != requests[1].messages[1]


def test_caps_seeds_and_temperature_are_the_same_for_all() -> None:
    request = next(Asked(50, nonce="x", request_seed=11).requests(3))
    assert (request.max_tokens, request.seed, request.temperature) == (50, 11, 0.0)


def test_fields_of_another_version_are_refused() -> None:
    assert asked({"max_tokens": 5}) == Asked(5)
    with pytest.raises(UsageError, match="not understood"):
        asked({"max_tokens": 5, "colour": "blue"})
