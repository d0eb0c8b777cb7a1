"""Runs by the page: found by words and values, ordered, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

import loadlab.store
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.store import Sought, Store

RUN = Run(
    id="", scenario="chat", scenario_path="chat.py", endpoint=Endpoint("http://127.0.0.1/v1", "m", name="a"),
    levels=(Level(index=0, users=1, requests=1),), seed=1, timeout_s=1.0, clock_ns=0, started_at_ns=0,
)  # fmt: skip


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    with loadlab.store.open(database_url) as opened:
        for number in range(7):
            target = "ab"[number % 2]
            run = replace(
                RUN, id=f"r{number}", started_at_ns=number, label=f"night_{number}",
                endpoint=replace(RUN.endpoint, name=target),
            )  # fmt: skip
            opened.begin_run(run)
            opened.finish_run(run.id, "finished")
        opened.set_verdict("r3", "INVALID", [])
        yield opened


def ids(store: Store, sought: Sought, offset: int = 0, limit: int = 3) -> tuple[list[str], int]:
    found, total = store.runs_page(sought, offset, limit)
    return found["id"].tolist(), total


def test_pages_follow_each_other_newest_first(store: Store) -> None:
    assert ids(store, Sought()) == (["r6", "r5", "r4"], 7)
    assert ids(store, Sought(), offset=6) == (["r0"], 7)
    assert ids(store, Sought(), offset=9) == ([], 7)


def test_order_goes_by_a_column_then_by_age(store: Store) -> None:
    assert ids(store, Sought(order="target", ascending=True), limit=5)[0] == ["r6", "r4", "r2", "r0", "r5"]


def test_every_word_must_be_somewhere_and_is_taken_literally(store: Store) -> None:
    assert ids(store, Sought("NIGHT_5 chat")) == (["r5"], 1)
    assert ids(store, Sought("night%")) == ([], 0)


def test_exact_values(store: Store) -> None:
    assert ids(store, Sought(exact={"verdict": "INVALID"})) == (["r3"], 1)
    assert ids(store, Sought(exact={"target": "b", "state": "finished"})) == (["r5", "r3", "r1"], 3)


def test_silent_run_counts_as_interrupted(store: Store) -> None:
    store.begin_run(replace(RUN, id="alive", started_at_ns=99))
    assert ids(store, Sought(exact={"state": "running"})) == (["alive"], 1)
    assert ids(store, Sought(exact={"state": "interrupted"})) == ([], 0)


def test_unknown_names_are_errors(store: Store) -> None:
    with pytest.raises(UnknownNameError):
        store.runs_page(Sought(order="beauty"))
    with pytest.raises(UnknownNameError):
        store.runs_page(Sought(exact={"spec": "x"}))


def test_targets_are_counted_newest_first(store: Store) -> None:
    assert [(each["target"], each["runs"]) for each in store.targets()] == [("a", 4), ("b", 3)]
