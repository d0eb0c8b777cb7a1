"""The order of vendors: Latin squares, the same prompts for all, slots somewhere in their windows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest

from loadlab.core.units import NS_PER_S
from loadlab.vendors import Study, Vendor, Workload, block_order, due_ns, seed_of
from loadlab.vendors.protocol import blocks

HOUR = 3_600 * NS_PER_S


def study(vendors: int, workloads: int = 1) -> Study:
    return Study(
        "s",
        tuple(Vendor(f"v{at}", {"url": "http://x"}) for at in range(vendors)),
        tuple(Workload(f"w{at}", 10) for at in range(workloads)),
    )


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_over_as_many_slots_as_vendors_each_stands_once_at_every_place(count: int) -> None:
    rows = [block_order(study(count), slot, 0) for slot in range(count)]
    assert all(len(set(row)) == count for row in rows)
    assert all(len(set(column)) == count for column in zip(*rows, strict=True))


@pytest.mark.parametrize(("count", "slots"), [(2, 2), (4, 4), (6, 6)])
def test_of_an_even_number_each_follows_every_other_once(count: int, slots: int) -> None:
    behind = Counter(
        pair for slot in range(slots) for row in [block_order(study(count), slot, 0)]
        for pair in pairwise(row)
    )  # fmt: skip
    assert set(behind.values()) == {1}
    assert len(behind) == count * (count - 1)


def test_orders_are_drawn_by_the_seed() -> None:
    six = study(6)
    assert block_order(six, 3, 0) == block_order(six, 3, 0)
    assert [block_order(six, slot, 0) for slot in range(6)] != [
        block_order(replace(six, seed=1), slot, 0) for slot in range(6)
    ]


def test_a_slot_has_every_workload_with_every_vendor() -> None:
    found = blocks(study(3, 2), 4)
    assert {block.workload for block in found} == {"w0", "w1"}
    assert all(set(block.vendors) == {"v0", "v1", "v2"} for block in found)


def test_prompts_differ_between_blocks_only() -> None:
    three = study(3, 2)
    seeds = {seed_of(three, slot, workload) for slot in range(20) for workload in ("w0", "w1")}
    assert len(seeds) == 40


def test_the_first_slot_is_due_at_once_and_the_next_in_the_next_window() -> None:
    three = study(3)
    assert due_ns(three, 1000 * HOUR, None, 1000 * HOUR) == 1000 * HOUR
    due = due_ns(three, 1000 * HOUR, 1000 * HOUR, 1000 * HOUR + 1)
    assert 1003 * HOUR <= due <= 1003 * HOUR + 0.75 * 3 * HOUR


def test_windows_that_passed_are_not_caught_up() -> None:
    due = due_ns(study(3), 0, 0, 10 * HOUR)
    assert 9 * HOUR <= due < 12 * HOUR
