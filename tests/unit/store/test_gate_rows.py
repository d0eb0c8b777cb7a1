"""Baselines and gates in the store: the newest set is in force, and goes with its runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadlab.core.errors import NoDataError, StoreError
from loadlab.core.nouns import Run
from loadlab.store import Store


def test_the_newest_set_of_a_name_is_in_force(opened: Store, make_run: Callable[..., Run]) -> None:
    for name in ("run-a", "run-b", "run-c"):
        opened.begin_run(make_run(id=name))
    opened.set_baseline("main", ["run-a"], "first")
    opened.set_baseline("main", ["run-b", "run-c"], "second")
    opened.set_baseline("other", ["run-a"])
    assert opened.baseline("main") == ["run-b", "run-c"]
    assert opened.baseline("other") == ["run-a"]
    known = opened.baselines()
    assert set(known[known["name"] == "main"]["why"]) == {"second"}


def test_a_baseline_that_is_not_set_is_named(opened: Store, make_run: Callable[..., Run]) -> None:
    opened.begin_run(make_run(id="run-a"))
    opened.set_baseline("main", ["run-a"])
    with pytest.raises(NoDataError, match=r"baseline 'mian' is not set in .*\(set: main\); `loadlab gate"):
        opened.baseline("mian")


def test_a_baseline_of_no_run_is_refused(opened: Store) -> None:
    with pytest.raises(StoreError):
        opened.set_baseline("main", ["nobody"])


def test_gates_come_back_newest_first(opened: Store) -> None:
    opened.add_gate("gate-1", "PASS", {"candidate": ["run-a"]})
    opened.add_gate("gate-2", "FAIL", {"candidate": ["run-b"]})
    assert opened.gates()["id"].tolist() == ["gate-2", "gate-1"]
    assert opened.gates(limit=1)["document"].iloc[0] == {"candidate": ["run-b"]}
