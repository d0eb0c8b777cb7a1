"""The scheduler alone: budget, order, preemption, and no block ever lost."""

from __future__ import annotations

import random
from itertools import count
from typing import Any

from loadlab.server.job import Choice, Sampling
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
