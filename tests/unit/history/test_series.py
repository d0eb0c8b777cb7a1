"""Stored runs as series: what belongs together, and what is left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from loadlab.core.nouns import Endpoint, Level
from loadlab.history import of_store
from loadlab.store import Store

Record = Callable[..., str]
TTFT = {"ttft_ms.p50": 100.0}


def titles(opened: Store) -> list[tuple[str, int]]:
    return [(each.kind.title, len(each.points)) for each in of_store(opened).series]


def test_an_empty_store_has_no_series(opened: Store) -> None:
    assert of_store(opened).series == ()


def test_points_come_in_order_of_time_with_commit_and_value(opened: Store, record: Record) -> None:
    for day in (2, 0, 1):
        record(day, {"ttft_ms.p50": 100.0 + day, "output_tokens_per_s": 900.0})
    ttft, rate = of_store(opened).series
    assert [point.run_id for point in ttft.points] == ["run-000", "run-001", "run-002"]
    assert [point.commit for point in ttft.points] == ["c0", "c1", "c2"]
    assert ttft.values.tolist() == [100.0, 101.0, 102.0]
    assert np.allclose(np.exp(ttft.logs), ttft.values)
    assert (ttft.measure.name, rate.measure.name) == ("ttft_ms.p50", "output_tokens_per_s")
    assert ttft.kind.title == "chat, 8 users, tiny at lab"


def test_what_was_asked_otherwise_is_another_series(opened: Store, record: Record) -> None:
    record(0, TTFT)
    record(1, TTFT, levels=(Level(0, users=16, requests=100),))
    record(2, TTFT, max_tokens=5)
    record(3, TTFT, endpoint=Endpoint("http://127.0.0.1:1/v1", "big", name="lab"))
    record(4, TTFT, environment={"branch": "dev"})
    assert len({each.kind.key for each in of_store(opened).series}) == 5


def test_a_longer_run_of_the_same_load_is_the_same_series(opened: Store, record: Record) -> None:
    record(0, TTFT)
    record(1, TTFT, levels=(Level(0, users=8, duration_s=60.0),))
    assert titles(opened) == [("chat, 8 users, tiny at lab", 2)]


def test_only_valid_runs_that_nobody_made_for_another_purpose_count(opened: Store, record: Record) -> None:
    record(0, TTFT)
    record(1, TTFT, verdict="SUSPECT")
    record(2, TTFT, label="gate-1 candidate 1")
    record(3, TTFT, label="techniques batching on")
    found = of_store(opened)
    assert [point.run_id for point in found.series[0].points] == ["run-000"]
    assert found.left_out == 1


def test_a_value_without_a_logarithm_is_left_out(opened: Store, record: Record) -> None:
    record(0, {"ttft_ms.p50": 0.0, "output_tokens_per_s": 900.0})
    assert [each.measure.name for each in of_store(opened).series] == ["output_tokens_per_s"]


def test_what_changed_around_a_run_is_marked(opened: Store, record: Record) -> None:
    record(0, TTFT)
    record(1, TTFT, environment={"loadlab": "2", "server": {"driver": "570"}})
    record(2, TTFT, environment={"loadlab": "2", "server": {"driver": "580"}}, processes=2)
    found = of_store(opened).series[0].marked
    assert found == {
        1: ["loadlab: 1 → 2"],
        2: ["driver: 570 → 580", "client processes: 1 → 2"],
    }


def test_some_scenarios_only(opened: Store, record: Record) -> None:
    record(0, TTFT)
    record(1, TTFT, scenario="rag")
    assert [each.kind.scenario for each in of_store(opened, where={"scenario": "rag"}).series] == ["rag"]
    assert of_store(opened, where={"target": "another"}).series == ()
