"""The spend guard's arithmetic: how many requests a cap still allows, and to whom."""

from __future__ import annotations

import random
from typing import Any

import pytest

from loadlab.core.nouns import Endpoint, Level, Price, Run
from loadlab.drive.crew import Ledger, Part
from loadlab.drive.guard import SpendGuard, shared

MILLI = 10**6  # nano-USD in a thousandth of a dollar


class Told(Part):
    """A part that keeps what it is allowed."""

    def __init__(self, done: int = 0, workers: int = 1) -> None:
        super().__init__("part")
        self.workers, self.counts, self.allowed = workers, (done, done, 0), -1

    def send(self, **message: Any) -> None:
        assert message["do"] == "allow"
        assert message["done"] >= self.allowed, "what was given may have been used already"
        self.allowed = message["done"]


def guard(cap: float = 0.1, worst: float = 0.002, **changes: Any) -> SpendGuard:
    run = Run(
        "r", "chat", "/x.py", Endpoint("http://h/v1", "m"), (Level(0, users=1),), 1, 60.0, 0, 0,
        max_cost_usd=cap, worst_request_usd=worst, **changes,
    )  # fmt: skip
    return SpendGuard(run)


def test_before_anything_is_settled_the_worst_case_divides_the_cap() -> None:
    first, second = Told(), Told()
    watching = guard()
    watching.allow([first, second])
    assert (first.allowed, second.allowed) == (25, 25)


def test_what_was_settled_cheaper_leaves_room_for_more() -> None:
    part, watching = Told(done=40), guard()
    watching.see([Ledger(40, 40 * MILLI, 0, MILLI)], 0)
    watching.allow([part])
    assert part.allowed == 40 + 30
    assert not watching.over


def test_a_request_of_unknown_cost_counts_as_the_dearest() -> None:
    watching = guard(worst=0.002)
    watching.see([Ledger(10, 0, 10, 0)], 0)
    assert watching.spent_nano_usd == 20 * MILLI
    watching.see([Ledger(10, 5 * MILLI, 9, 5 * MILLI)], 0)
    assert watching.spent_nano_usd == 50 * MILLI
    assert "9 requests of unknown cost" in watching.words


def test_at_the_cap_it_is_over_and_says_so() -> None:
    watching = guard()
    watching.see([Ledger(50, 100 * MILLI, 0, 2 * MILLI)], 0)
    assert watching.over
    assert watching.words == "stopped by the spend guard: $0.100 of --max-cost $0.100 were spent"


def test_a_level_starts_with_what_the_last_one_left() -> None:
    part, watching = Told(done=20), guard()
    watching.see([Ledger(20, 40 * MILLI, 0, 2 * MILLI)], 0)
    watching.enter_level(1, [part])
    part.counts = (0, 0, 0)
    watching.allow([part])
    assert part.allowed == 30


def test_a_lost_part_has_spent_and_gets_nothing_more() -> None:
    lost, left = Told(done=10), Told(done=10)
    lost.gone = True
    watching = guard()
    watching.see([Ledger(20, 40 * MILLI, 0, 2 * MILLI)], 0)
    watching.allow([lost, left])
    assert lost.allowed == -1
    assert left.allowed == 10 + 30


def test_hours_are_counted_by_the_clock() -> None:
    price = Price("p", "hour", "s", "2026-01-01", usd_per_hour=3600.0)
    watching = guard(cap=2.0, price=price)
    watching.see([Ledger()], 1_999_999_999)
    assert not watching.over
    watching.see([Ledger()], 2_000_000_000)
    assert watching.over


@pytest.mark.parametrize("seed", range(100))
def test_shares_add_up_and_take_nothing_back(seed: int) -> None:
    luck = random.Random(seed)
    parts = [Told(luck.randrange(50), luck.randrange(1, 9)) for _ in range(luck.randrange(1, 6))]
    done = sum(part.counts[1] for part in parts)
    total = luck.randrange(400)
    shares = shared(total, parts)
    assert all(share >= part.counts[1] for part, share in shares)
    assert sum(share for _, share in shares) == max(total, done)


@pytest.mark.parametrize("seed", range(50))
def test_no_run_goes_over_its_cap_by_more_than_what_is_in_flight(seed: int) -> None:
    """Requests end and are settled in any order and late; each part sends whenever it is allowed to."""
    luck = random.Random(seed)
    cap, worst = 100 * MILLI, 4 * MILLI
    watching, parts = guard(cap / 1e9, worst / 1e9), [Told() for _ in range(luck.randrange(1, 4))]
    flying: list[tuple[Told, int]] = []
    unsettled: list[int] = []
    settled, spent, most_flying = 0, 0, 0
    places = luck.randrange(1, 8)
    for _ in range(3000):
        watching.see([Ledger(settled, spent, 0, worst)], 0)
        if watching.over:
            break
        watching.allow(parts)
        for part in parts:
            while part.counts[1] < part.allowed and sum(owner is part for owner, _ in flying) < places:
                flying.append((part, luck.randrange(1, worst)))
        most_flying = max(most_flying, len(flying))
        if flying and luck.random() < 0.8:
            part, cost = flying.pop(luck.randrange(len(flying)))
            part.counts = (0, part.counts[1] + 1, 0)
            unsettled.append(cost)
        if unsettled and luck.random() < 0.5:
            spent, settled = spent + unsettled.pop(0), settled + 1
    else:
        pytest.fail("the cap was never reached")
    at_most = cap + most_flying * worst
    assert cap <= spent + sum(unsettled) + sum(cost for _, cost in flying) <= at_most
