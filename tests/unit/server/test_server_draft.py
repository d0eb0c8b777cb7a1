"""Guesses: what a text says comes next, and a draft model that never runs out of step."""

from __future__ import annotations

from loadlab.core.errors import LoadlabError
from loadlab.server.draft import DraftModel, Lookup
from loadlab.server.job import Choice, Sampling
from loadlab.server.kv import Pool
from loadlab.server.plan import Chunk, Sequence


def sequence(tokens: list[int], limit: int = 100) -> Sequence:
    return Sequence("a", tokens, limit, Sampling(), running=True)


def test_what_followed_before_is_guessed_again() -> None:
    lookup, text = Lookup(), sequence([1, 2, 3, 4, 5, 6, 1, 2, 3])
    assert lookup.propose([(text, 2)]) == [(4, 5)]
    text.tokens += [4, 9]
    assert lookup.propose([(text, 3)]) == [()]  # nothing before ended in 4, 9
    text.tokens += [2, 3, 4]
    assert lookup.propose([(text, 1)]) == [(9,)]  # the latest place counts, not the first


def test_the_longest_match_wins() -> None:
    lookup = Lookup()
    assert lookup.propose([(sequence([7, 2, 3, 4, 50, 1, 2, 3, 4, 60, 7, 2, 3, 4]), 1)]) == [(50,)]


def test_a_loop_is_guessed_on_and_on() -> None:
    assert Lookup().propose([(sequence([5, 6, 5, 6, 5, 6]), 5)]) == [(5, 6, 5, 6, 5)]
    assert Lookup().propose([(sequence([8, 8, 8, 8]), 4)]) == [(8, 8, 8, 8)]


def test_short_texts_and_no_count_give_no_guess() -> None:
    texts = [sequence([1]), sequence([1, 1]), sequence([1, 2, 1, 2, 1])]
    assert Lookup().propose([(texts[0], 3), (texts[1], 3), (texts[2], 0)]) == [(), (), ()]


class Counting:
    """A model that chooses the last token plus one, and sees to it that it was told every token, once."""

    def __init__(self) -> None:
        self.seen: dict[Sequence, list[int]] = {}
        self.widths: list[int] = []
        self.broken = False

    def step(self, plan: list[Chunk]) -> list[list[Choice]]:
        if self.broken:
            raise LoadlabError("out of memory")
        return [self._compute(chunk) for chunk in plan]

    def _compute(self, chunk: Chunk) -> list[Choice]:
        tokens = chunk.sequence.tokens[chunk.start : chunk.start + chunk.count]
        known = self.seen.setdefault(chunk.sequence, [])
        assert chunk.count == len(tokens) > 0
        assert chunk.start <= len(known)
        self.seen[chunk.sequence] = known[: chunk.start] + tokens
        assert self.seen[chunk.sequence] == chunk.sequence.tokens[: chunk.start + chunk.count]
        self.widths.append(chunk.count)
        return [Choice(tokens[-1] + 1)] if chunk.samples else []


def test_a_draft_model_goes_on_from_what_was_accepted() -> None:
    runner, text = Counting(), sequence([1, 2, 3])
    draft = DraftModel(runner, Pool(20), 100)
    assert draft.propose([(text, 3)]) == [(4, 5, 6)]
    assert runner.widths == [3, 1, 1]
    text.tokens += [4, 5, 6, 7]  # all right, and one more
    assert draft.propose([(text, 2)]) == [(8, 9)]
    assert runner.widths[3:] == [2, 1]
    text.tokens += [8, 20]  # the second was wrong
    assert draft.propose([(text, 2)]) == [(21, 22)]
    text.tokens += [21]  # only the first was used
    assert draft.propose([(text, 2)]) == [(22, 23)]
    text.tokens += [22, 23]
    assert draft.propose([(text, 1)]) == [(24,)]


def test_a_draft_model_reads_a_long_prompt_in_pieces() -> None:
    runner = Counting()
    assert DraftModel(runner, Pool(200), 2000).propose([(sequence(list(range(1100))), 1)]) == [(1100,)]
    assert runner.widths == [512, 512, 76]


def test_beyond_its_context_or_without_room_a_draft_model_is_silent() -> None:
    pool = Pool(5)
    draft = DraftModel(Counting(), pool, 60)
    long, short, big = sequence(list(range(59))), sequence(list(range(20))), sequence(list(range(50)))
    assert draft.propose([(long, 2), (short, 2)]) == [(), (20, 21)]
    assert draft.propose([(big, 2), (short, 2)]) == [(), (20, 21)]
    assert draft.propose([(big, 2)]) == [(50, 51)]  # the other one's room was taken for it
    big.running = False
    assert draft.propose([]) == []
    assert pool.free == pool.total


def test_a_draft_model_out_of_memory_is_silent_and_recovers() -> None:
    runner, pool, text = Counting(), Pool(20), sequence([1, 2, 3])
    draft = DraftModel(runner, pool, 100)
    runner.broken = True
    assert draft.propose([(text, 2)]) == [()]
    assert pool.free == pool.total
    runner.broken = False
    assert draft.propose([(text, 2)]) == [(4, 5)]
