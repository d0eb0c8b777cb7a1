"""The response cache: what counts as the same question, how long an answer lasts, what makes room."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from loadlab.server import cache
from loadlab.server.cache import KeepingSink, Kept, ResponseCache, key_of
from loadlab.server.job import Choice, Finish, Job, Sampling


class Seen:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.pushes: list[tuple[str, int, Finish | None, tuple[Choice, ...]]] = []
        self.cached_tokens: int | None = None
        self.stop = ""
        self.ends: list[str] = []

    def admitted(self, at_ns: int) -> None:
        self.ends.append("admitted")

    def cached(self, tokens: int) -> None:
        self.cached_tokens = tokens

    def stopped(self, text: str) -> None:
        self.stop = text

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        self.pushes.append((text, tokens, finish, tuple(choices)))
        return 7

    def fail(self, message: str) -> None:
        self.ends.append(message)

    def cut(self) -> None:
        self.ends.append("cut")


def job(prompt: Sequence[int] = (1, 2), **sampling: object) -> Job:
    return Job("id", prompt, 0, Sampling(**{"max_tokens": 5, **sampling}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (job(), True),
        (job(seed=9), True),  # greedy: the seed changes nothing
        (job(prompt=(1, 3)), False),
        (job(max_tokens=6), False),
        (job(logprobs=0), False),
        (job(stop=("x",)), False),
        (job(temperature=0.5), False),
    ],
)
def test_the_key_is_all_that_shapes_the_answer(other: Job, same: bool) -> None:
    assert (key_of("m", job()) == key_of("m", other)) is same
    assert key_of("m", job()) != key_of("n", job())
    drawn = (key_of("m", job(temperature=0.5, seed=seed)) for seed in (1, 2))
    assert len(set(drawn)) == 2


def test_an_answer_is_kept_when_it_is_whole_and_given_again_in_one_piece() -> None:
    store, first, again = ResponseCache(), Seen(), Seen()
    sink = KeepingSink(first, store, "key")
    sink.cached(16)
    assert sink.push("he", 1, None, [Choice(1)]) == 7
    assert store.get("key", 60) is None
    sink.stopped("!")
    sink.push("llo", 2, "stop", [Choice(2), Choice(3)])
    kept = store.get("key", 60)
    assert kept
    kept.replay(again)
    assert again.pushes == [("hello", 3, "stop", (Choice(1), Choice(2), Choice(3)))]
    assert (again.cached_tokens, again.stop, again.ends) == (16, "!", ["admitted"])


def test_an_answer_that_broke_is_not_kept() -> None:
    store, seen = ResponseCache(), Seen()
    sink = KeepingSink(seen, store, "key")
    sink.push("he", 1, None)
    sink.fail("broken")
    sink.cut()
    assert store.get("key", 60) is None
    assert seen.ends == ["broken", "cut"]


def test_the_oldest_answer_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MOST_ANSWERS", 2)
    store = ResponseCache()
    for key in ("a", "b", "a", "c"):
        store.put(key, Kept())
    assert [store.get(key, 60) is not None for key in ("a", "b", "c")] == [True, False, True]


def test_an_old_answer_is_forgotten() -> None:
    store = ResponseCache()
    store.put("a", Kept())
    assert store.get("a", 0) is None
    assert store.get("a", 60) is None
