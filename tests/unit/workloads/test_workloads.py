from itertools import islice
from pathlib import Path

import pytest

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.workloads import Prompts, Replay, Synthetic, Workload, share

WORKLOADS: list[Workload] = [Prompts("everyday"), Synthetic(50)]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_seed_fixes_the_requests(workload: Workload) -> None:
    def first(seed: int) -> list[object]:
        return list(islice(workload.requests(seed), 40))

    assert first(1) == first(1)
    assert first(1) != first(2)


@pytest.mark.parametrize("workload", WORKLOADS)
def test_workers_share_one_stream_exactly(workload: Workload) -> None:
    whole = list(islice(workload.requests(5), 30))
    parts = [list(islice(share(workload.requests(5), index, 3), 10)) for index in range(3)]
    assert [parts[number % 3][number // 3] for number in range(30)] == whole


def test_every_prompt_is_used_once_before_any_is_used_again() -> None:
    prompts = Prompts("everyday")
    count = len(prompts.texts())
    texts = [request.messages[0].content for request in islice(prompts.requests(3), count)]
    assert sorted(texts) == sorted(prompts.texts())


def test_synthetic_prompts_have_their_length_and_differ() -> None:
    first, second = islice(Synthetic(123).requests(0), 2)
    assert len(first.messages[0].content.split()) == 123
    assert first != second


def test_an_unknown_set_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'everyday'"):
        next(Prompts("evryday").requests(1))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "empty"),
        ("{", "line 1"),
        ('{"prompt": "a"}\n{"text": "b"}', "line 2"),
        ('{"prompt": 3}', "non-empty"),
    ],
)
def test_a_bad_file_says_where(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match=words):
        next(Prompts(str(path)).requests(1))


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a"}\n\n{"prompt": "b"}\n')
    texts = {request.messages[0].content for request in islice(Prompts(str(path)).requests(1), 2)}
    assert texts == {"a", "b"}


def test_a_replay_has_the_lengths_of_its_trace(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    path.write_text(
        '{"timestamp": 0, "input_length": 7, "output_length": 3}\n'
        '{"timestamp": 9, "input_length": 2, "output_length": 5}'
    )
    requests = list(islice(Replay(str(path)).requests(1), 4))
    assert [len(request.messages[0].content.split()) for request in requests] == [7, 2, 7, 2]
    assert [request.max_tokens for request in requests] == [3, 5, 3, 5]
