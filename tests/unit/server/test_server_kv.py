"""The block pool: what is found again, what is forgotten first, and that nothing leaks whatever happens."""

from __future__ import annotations

from random import Random

import pytest

from loadlab.server.job import Choice, Sampling
from loadlab.server.kv import Pool
from loadlab.server.plan import Chunk, Sequence
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches

END = 999


def sequence(tokens: list[int], name: str = "a", limit: int = 4, priority: int = 0) -> Sequence:
    return Sequence(name, tokens, limit, Sampling(), priority)


def computed(pool: Pool, tokens: list[int]) -> Sequence:
    """A sequence that took what was cached and computed the rest."""
    one = sequence(tokens)
    pool.adopt(one)
    assert pool.grow(one, len(tokens))
    one.computed = len(tokens)
    pool.keep(one)
    return one


def test_a_beginning_is_found_by_whole_blocks_but_never_the_last_token() -> None:
    pool = Pool(20, block=4)
    first = computed(pool, list(range(12)))
    same, longer = sequence(list(range(12))), sequence(list(range(13)))
    assert pool.adopt(same) == 8
    assert same.blocks == first.blocks[:2]
    assert pool.adopt(longer) == 12
    assert longer.blocks == first.blocks
    assert pool.adopt(sequence([*range(6), 0, 0, 0, 0])) == 4
    assert pool.adopt(sequence([0, *range(12)])) == 0


def test_equal_blocks_after_different_beginnings_are_different() -> None:
    pool = Pool(20, block=4)
    computed(pool, [1, 1, 1, 1, 5, 5, 5, 5])
    assert pool.adopt(sequence([2, 2, 2, 2, 5, 5, 5, 5, 9])) == 0


def test_what_is_given_back_is_still_found_until_it_is_needed_the_oldest_first() -> None:
    pool = Pool(7, block=4)
    for start in (0, 100, 200):
        pool.release(computed(pool, list(range(start, start + 8))))
    assert pool.free == pool.total == 6
    recent = sequence([*range(8), 9])
    assert pool.adopt(recent) == 8  # the first is now the one used last
    pool.release(recent)
    taker = sequence([-1] * 12)
    assert pool.grow(taker, 12)  # three blocks: all of the second, the end of the third
    assert pool.adopt(sequence([*range(100, 108), 9])) == 0
    assert pool.adopt(sequence([*range(200, 208), 9])) == 4
    assert pool.adopt(sequence([*range(8), 9])) == 8


def test_a_hash_alone_is_not_believed() -> None:
    pool = Pool(20, block=4)
    computed(pool, [1, 2, 3, 4])
    liar = sequence([5, 6, 7, 8, 9])
    liar.digests = list(computed(pool, [1, 2, 3, 4, 5]).digests)
    assert pool.adopt(liar) == 0


def test_two_that_computed_the_same_at_once_both_give_their_blocks_back() -> None:
    pool = Pool(20, block=4)
    twins = [sequence(list(range(8))) for _ in range(2)]
    for twin in twins:
        pool.grow(twin, 8)
        twin.computed = 8
        pool.keep(twin)
    for twin in twins:
        pool.release(twin)
    assert pool.free == pool.total
    assert pool.adopt(sequence([*range(8), 9])) == 8


def test_turned_off_it_forgets_and_turned_on_it_learns_anew() -> None:
    pool = Pool(20, block=4)
    pool.release(computed(pool, list(range(8))))
    held = computed(pool, list(range(50, 58)))
    pool.switch_caching(False)
    assert pool.adopt(sequence([*range(8), 9])) == 0
    pool.release(held)
    assert pool.free == pool.total
    pool.switch_caching(True)
    assert pool.adopt(sequence([*range(50, 58), 9])) == 0
    pool.release(computed(pool, list(range(8))))
    assert pool.adopt(sequence([*range(8), 9])) == 8


def test_growing_is_all_or_nothing() -> None:
    pool = Pool(4, block=4)
    one = sequence([0])
    assert not pool.grow(one, 13)
    assert (one.blocks, pool.free) == ([], 3)
    assert pool.grow(one, 12)
    assert 0 not in one.blocks


def check(pool: Pool, alive: list[Sequence]) -> None:
    """Every block is free or held as often as it is counted; nobody who waits holds any."""
    held = [block for one in alive for block in one.blocks]
    free = [*pool._blank, *pool._kept]
    assert len(free) == len(set(free)) == pool.free
    assert not set(free) & set(held)
    assert sorted({*free, *held}) == list(range(1, pool.total + 1))
    assert all(pool._holders[block] == held.count(block) for block in range(pool.total + 1))
    assert (
        set(pool._known.values()) == set(pool._content) == {b for b in pool._content if b not in pool._blank}
    )
    assert all(one.running or not one.blocks for one in alive)
    for one in alive:
        assert len(one.blocks) == len(set(one.blocks))
        assert one.computed <= len(one.blocks) * pool.block


class Guesses:
    """Right or wrong by luck; the right token is always the sequence's length."""

    def __init__(self, luck: Random) -> None:
        self._luck = luck

    def propose(self, wanted: list[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
        return [
            tuple(
                len(one.tokens) + i if self._luck.random() < 0.7 else -1
                for i in range(self._luck.randint(0, max(count, 0)))
            )
            for one, count in wanted
        ]


def chosen(chunk: Chunk, luck: Random) -> list[Choice]:
    if not chunk.samples:
        return []
    first = len(chunk.sequence.tokens)
    return [Choice(END if luck.random() < 0.02 else first + i) for i in range(1 + len(chunk.draft))]


@pytest.mark.parametrize("seed", range(12))
def test_nothing_leaks_on_a_random_walk(seed: int) -> None:
    """Adds, aborts, ends, preemptions, guesses, shared beginnings, and techniques switched on the way."""
    luck = Random(seed)
    pool = Pool(luck.randint(30, 60), block=luck.choice([1, 4, 16]))
    guesses = Guesses(luck)
    proposers = {"ngram": guesses, "draft": guesses}
    switches = Switches(max_num_seqs=6, speculate="ngram", speculate_max_seqs=6)
    scheduler = Scheduler(pool, switches, end=END, proposers=proposers)
    alive: dict[str, Sequence] = {}
    room = pool.total * pool.block
    for turn in range(600):
        if luck.random() < 0.3:
            shared = luck.randint(0, room // 2)
            tokens = [*range(shared), *(luck.randint(0, 9) for _ in range(luck.randint(1, room // 4)))]
            one = sequence(tokens, f"s{turn}", luck.randint(1, room // 4), luck.randint(0, 1))
            alive[one.id] = one
            scheduler.add(one)
        if alive and luck.random() < 0.1:
            scheduler.abort(gone := luck.choice(list(alive)))
            assert not alive.pop(gone).blocks
        if luck.random() < 0.05:
            change = luck.choice(
                [
                    {"prefix_cache": luck.random() < 0.5},
                    {"batching": luck.choice(["static", "continuous"])},
                    {"chunked_prefill": luck.random() < 0.5},
                    {"speculate": luck.choice(["off", "ngram", "draft"])},
                    {"max_num_batched_tokens": luck.randint(1, 80)},
                    {"max_num_seqs": luck.randint(1, 6)},
                ]
            )
            scheduler.switch(scheduler.switches.changed(change, {}))
        if not scheduler.busy:
            continue
        plan = scheduler.plan()
        assert plan
        assert len({chunk.sequence for chunk in plan}) == len(plan)
        for chunk in plan:
            reach = chunk.start + chunk.count + len(chunk.draft)
            assert chunk.start == chunk.sequence.computed
            assert reach <= len(chunk.sequence.blocks) * pool.block
        for output in scheduler.advance(plan, [chosen(chunk, luck) for chunk in plan]):
            if output.finish:
                del alive[output.id]
        check(pool, list(alive.values()))
        assert scheduler.load().running + scheduler.load().waiting == len(alive)
    for name in list(alive):
        scheduler.abort(name)
    assert pool.free == pool.total
    counts = scheduler.load().counts
    assert counts.preemptions > 0
    assert counts.prefix_hits > 0
    assert 0 < counts.accepted_tokens < counts.draft_tokens
