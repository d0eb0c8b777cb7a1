"""The scheduler alone: budget, order, preemption, and no block ever lost."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

import pytest

from loadlab.server.job import Choice, EngineError, Sampling
from loadlab.server.kv import BLOCK, Pool
from loadlab.server.plan import Chunk, Sequence
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches

END = 999
_serial = count(1000)  # no two prompts begin alike


def scheduler(
    blocks: int = 100, *, places: int = 8, budget: int = 64, **others: Any
) -> tuple[Scheduler, Pool]:
    pool = Pool(blocks + 1)
    switches = Switches(max_num_seqs=places, max_num_batched_tokens=budget, **others)
    return Scheduler(pool, switches, end=END), pool


def sequence(name: str, prompt: int, limit: int = 4, sampling: Sampling | None = None) -> Sequence:
    return Sequence(name, [next(_serial)] * prompt, limit, sampling or Sampling())


def batch(name: str, prompt: int, limit: int = 4) -> Sequence:
    one = sequence(name, prompt, limit)
    one.priority = 1
    return one


def shape(plan: list[Chunk]) -> list[tuple[str, int, int, bool]]:
    return [(chunk.sequence.id, chunk.start, chunk.count, chunk.samples) for chunk in plan]


def chosen(plan: list[Chunk], token: int) -> list[list[Choice]]:
    """What a runner answers that chooses always the same."""
    return [[Choice(token)] if chunk.samples else [] for chunk in plan]


def step(subject: Scheduler, token: int = 1) -> list[tuple[str, int, int, bool]]:
    plan = subject.plan()
    subject.advance(plan, chosen(plan, token))
    return shape(plan)


def test_decodes_come_before_running_prefills_before_new_requests() -> None:
    subject, _ = scheduler(budget=20)
    subject.add(sequence("a", 4))
    assert step(subject) == [("a", 0, 4, True)]
    subject.add(sequence("b", 30))
    assert step(subject) == [("a", 4, 1, True), ("b", 0, 19, False)]
    subject.add(sequence("c", 50))
    assert step(subject) == [("a", 5, 1, True), ("b", 19, 11, True), ("c", 0, 8, False)]


def test_a_step_never_exceeds_its_budget() -> None:
    subject, _ = scheduler(budget=10)
    for name in "abcde":
        subject.add(sequence(name, 7))
    while subject.busy:
        assert sum(count for _, _, count, _ in step(subject)) <= 10


def test_no_more_than_the_places_run() -> None:
    subject, _ = scheduler(places=2)
    for name in "abc":
        subject.add(sequence(name, 3))
    step(subject)
    assert (subject.load().running, subject.load().waiting) == (2, 1)


def test_end_and_limit_finish_a_sequence_and_free_its_blocks() -> None:
    subject, pool = scheduler()
    subject.add(sequence("ends", 3, limit=9))
    subject.add(sequence("limited", 3, limit=1))
    plan = subject.plan()
    outputs = subject.advance(plan, [[Choice(END)], [Choice(5)]])
    assert [(o.id, o.choices[0].token, o.finish) for o in outputs] == [
        ("ends", END, "stop"),
        ("limited", 5, "length"),
    ]
    assert pool.free == pool.total


def test_ignore_eos_goes_on() -> None:
    subject, _ = scheduler()
    subject.add(sequence("a", 3, limit=2, sampling=Sampling(ignore_eos=True)))
    finishes = [subject.advance(subject.plan(), [[Choice(END)]])[0].finish for _ in range(2)]
    assert finishes == [None, "length"]


def test_an_abort_frees_blocks_at_once_whether_running_or_waiting() -> None:
    subject, pool = scheduler(places=1)
    subject.add(sequence("a", 40))
    subject.add(sequence("b", 40))
    step(subject)
    subject.abort("a")
    assert pool.free == pool.total
    subject.abort("b")
    subject.abort("never seen")
    assert not subject.busy


def test_out_of_blocks_the_newest_gives_way_and_is_computed_again() -> None:
    subject, pool = scheduler(blocks=4, budget=200)
    subject.add(sequence("old", 2 * BLOCK - 1, limit=BLOCK + 3))
    subject.add(new := sequence("new", BLOCK - 1, limit=40))
    steps = [step(subject) for _ in range(4)]
    assert [name for name, *_ in steps[1]] == ["old", "new"]
    assert [name for name, *_ in steps[2]] == [
        "old"
    ]  # it took the last block; the newest has none to grow into
    assert new.blocks == []
    while subject.busy:
        steps.append(step(subject))
    restart = next(chunk for plan in steps[1:] for chunk in plan if chunk[:2] == ("new", 0))
    assert restart == ("new", 0, BLOCK + 1, True)  # its prompt and what it had generated, in one go
    assert new.generated == 40
    assert pool.free == pool.total


def test_a_request_waits_until_all_it_has_fits() -> None:
    subject, _ = scheduler(blocks=4)
    subject.add(sequence("old", 2 * BLOCK))
    subject.add(sequence("big", 3 * BLOCK))
    assert [name for name, *_ in step(subject)] == ["old"]
    assert subject.load().waiting == 1


def test_blocks_are_neither_lost_nor_given_twice() -> None:
    luck = random.Random(7)
    subject, pool = scheduler(blocks=24, places=6, budget=40)
    alive: dict[str, Sequence] = {}
    for turn in range(2000):
        if luck.random() < 0.3:
            alive[f"s{turn}"] = sequence(f"s{turn}", luck.randint(1, 100), limit=luck.randint(1, 60))
            subject.add(alive[f"s{turn}"])
        if alive and luck.random() < 0.05:
            subject.abort(luck.choice(list(alive)))
        step(subject, END if luck.random() < 0.02 else 1)
        held = [block for one in alive.values() for block in one.blocks]
        assert len(held) == len(set(held))
        assert 0 not in held
        assert len(held) + pool.free == pool.total


def test_an_interactive_request_goes_before_batch_ones_that_wait() -> None:
    subject, _ = scheduler(places=1)
    subject.add(batch("b1", 4))
    step(subject)
    subject.add(batch("b2", 4))
    subject.add(sequence("a", 4))
    assert step(subject) == [("a", 0, 4, True)]  # and b1 gave it its place


def test_what_gave_its_place_back_goes_on_when_there_is_room() -> None:
    subject, _ = scheduler(places=2)
    subject.add(first := batch("b1", 4, limit=3))
    subject.add(batch("b2", 4, limit=3))
    step(subject)
    subject.add(sequence("a", 4, limit=2))
    assert [name for name, *_ in step(subject)] == ["b1", "a"]  # the newest batch request gave way
    assert [name for name, *_ in step(subject)] == ["a", "b1"]
    assert first.generated == 3
    assert step(subject) == [("b2", 0, 5, True)]  # with what it had generated
    assert subject.load().counts.preemptions == 1


def test_batch_decodes_and_prefills_come_after_interactive_ones() -> None:
    subject, _ = scheduler(budget=10)
    subject.add(batch("b", 4))
    step(subject)
    subject.add(sequence("a", 4))
    step(subject)
    subject.add(batch("d", 30))
    step(subject)
    subject.add(sequence("c", 30))
    assert step(subject)[:2] == [("a", 5, 1, True), ("b", 6, 1, True)]


def test_out_of_blocks_a_batch_request_gives_way_though_it_is_older() -> None:
    subject, pool = scheduler(blocks=4, budget=200, prefix_cache=False)
    subject.add(old := batch("old", 2 * BLOCK - 1, limit=30))
    subject.add(sequence("new", 2 * BLOCK - 1, limit=30))
    step(subject)
    step(subject)
    assert [name for name, *_ in step(subject)] == ["new"]
    assert old.blocks == []
    while subject.busy:
        step(subject)
    assert pool.free == pool.total


def test_batch_requests_do_not_give_way_in_vain() -> None:
    subject, _ = scheduler(blocks=6, budget=200, prefix_cache=False)
    subject.add(sequence("a", 4 * BLOCK - 1))
    subject.add(batch("b", BLOCK - 1))
    step(subject)
    subject.add(sequence("big", 4 * BLOCK, limit=1))
    assert [name for name, *_ in step(subject)] == ["a", "b"]
    assert subject.load().counts.preemptions == 0


def test_a_static_batch_is_joined_by_nobody_until_it_is_done() -> None:
    subject, _ = scheduler(budget=10, batching="static")
    for name, limit in (("a", 2), ("b", 4)):
        subject.add(sequence(name, 8, limit=limit))
    assert step(subject) == [("a", 0, 8, True), ("b", 0, 2, False)]
    subject.add(sequence("late", 8))
    assert step(subject) == [("a", 8, 1, True), ("b", 2, 6, True)]
    for _ in range(3):
        assert [name for name, *_ in step(subject)] == ["b"]
    assert step(subject) == [("late", 0, 8, True)]


def test_without_chunks_a_prompt_is_computed_whole_or_not_yet() -> None:
    subject, _ = scheduler(budget=10, chunked_prefill=False)
    for name, prompt in (("a", 4), ("b", 5), ("c", 40), ("d", 6), ("e", 5)):
        subject.add(sequence(name, prompt))
    assert step(subject) == [("a", 0, 4, True), ("b", 0, 5, True)]
    assert step(subject) == [("a", 4, 1, True), ("b", 5, 1, True), ("c", 0, 40, True)]  # alone it may
    assert step(subject)[3:] == [("d", 0, 6, True)]


def test_what_could_never_fit_is_refused_in_words() -> None:
    subject, _ = scheduler(blocks=4)
    subject.add(sequence("fits", 3 * BLOCK, limit=BLOCK))
    with pytest.raises(EngineError, match="may grow to 65 tokens, but the KV cache holds 64") as caught:
        subject.add(sequence("too long", 3 * BLOCK, limit=BLOCK + 1))
    assert caught.value.status == 400
    assert subject.load().waiting == 1


def test_the_first_admission_is_told_with_its_cached_tokens_and_no_other() -> None:
    subject, _ = scheduler(blocks=4, budget=200)
    subject.add(first := sequence("a", 2 * BLOCK, limit=1))
    step(subject)
    assert [(one.id, cached) for one, cached in subject.admitted] == [("a", 0)]
    subject.add(Sequence("b", [*first.tokens[: 2 * BLOCK], 5], 20, Sampling()))
    subject.add(sequence("c", BLOCK - 1, limit=40))
    told = []
    while subject.busy:
        step(subject)
        told += [(one.id, cached) for one, cached in subject.admitted]
    assert told == [("b", 2 * BLOCK), ("c", 0)]
    counts = subject.load().counts
    assert counts.preemptions > 0
    assert (counts.prefix_queries, counts.prefix_hits) == (5 * BLOCK, 2 * BLOCK)


def test_guesses_are_accepted_up_to_the_first_wrong_one() -> None:
    class Guesser:
        def propose(self, wanted: list[tuple[Sequence, int]]) -> list[tuple[int, ...]]:
            return [(7, 8, 9)[:count] for _, count in wanted]

    pool = Pool(50)
    subject = Scheduler(
        pool, Switches(speculate="ngram", speculate_tokens=3), end=END, proposers={"ngram": Guesser()}
    )
    subject.add(one := sequence("a", 4, limit=7))
    step(subject)
    [chunk] = plan = subject.plan()
    assert (chunk.start, chunk.count, chunk.draft) == (4, 1, (7, 8, 9))
    [output] = subject.advance(plan, [[Choice(7), Choice(8), Choice(1), Choice(2)]])
    assert [choice.token for choice in output.choices] == [7, 8, 1]
    assert (one.computed, len(one.tokens)) == (7, 8)
    [chunk] = plan = subject.plan()
    assert chunk.draft == (7, 8)  # it may generate three more in all
    [output] = subject.advance(plan, [[Choice(7), Choice(END), Choice(3)]])
    assert ([choice.token for choice in output.choices], output.finish) == ([7, END], "stop")
    counts = subject.load().counts
    assert (counts.drafts, counts.draft_tokens, counts.accepted_tokens) == (2, 5, 3)
    assert counts.accepted_per_position == (2, 1)
    assert pool.free == pool.total
