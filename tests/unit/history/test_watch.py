"""Checks of a whole store: incidents opened once, followed, made good, accepted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from loadlab import history
from loadlab.store import Store

Nightly = Callable[..., list[str]]


def test_nothing_changed_opens_nothing(opened: Store, nightly: Nightly) -> None:
    nightly(0, 24)
    checked = history.check(opened)
    assert (checked.opened, opened.incidents.all()) == ((), [])
    assert len(checked.seen.long_enough) == 3


def test_what_moved_together_is_one_incident_with_its_evidence(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2)
    (incident,) = history.check(opened).opened
    assert opened.incidents.all() == [incident]
    assert set(incident.metrics) == {"ttft_ms.p50", "itl_ms.p50", "output_tokens_per_s"}
    assert (incident.state, incident.scenario, incident.target, incident.model, incident.hardware) == (
        "open", "chat", "lab", "tiny", "2 × H100")  # fmt: skip
    seen = incident.evidence
    assert (seen["last_good_run"], seen["first_bad_run"]) == ("run-011", "run-012")
    assert (seen["last_good_commit"], seen["first_bad_commit"]) == ("c11", "c12")
    assert (seen["delay_runs"], seen["causes"]) == (4, [])
    by_metric = {each["metric"]: each for each in seen["series"]}
    ttft = by_metric["ttft_ms.p50"]
    assert ttft["low"] < ttft["ratio"] < ttft["high"]
    assert ttft["ratio"] == pytest.approx(1.2, abs=0.05)
    assert by_metric["output_tokens_per_s"]["ratio"] == pytest.approx(1 / 1.2, abs=0.04)
    assert ttft["p"] < ttft["limit"]


def test_a_commit_that_is_on_both_sides_of_the_step_is_not_the_last_good_one(
    opened: Store, nightly: Nightly
) -> None:
    nightly(0, 11)
    late = {"environment": {"commit": "slow"}}
    nightly(11, 1, **late)  # the first run of the slow commit happened to be quick
    nightly(12, 4, 1.2, **late)
    (incident,) = history.check(opened).opened
    seen = incident.evidence
    assert (seen["last_good_run"], seen["first_bad_run"]) == ("run-011", "run-012")
    assert (seen["last_good_commit"], seen["first_bad_commit"]) == ("c10", "slow")


def test_an_incident_is_opened_once_and_learns(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 3, 1.2)
    (first,) = history.check(opened).opened
    nightly(15, 6, 1.2)
    checked = history.check(opened)
    assert (checked.opened, [each.id for each in checked.going_on]) == ((), [first.id])
    now = opened.incidents.one(first.id)
    assert now.evidence["series"][0]["runs_after"] == 9
    assert now.evidence["delay_runs"] == 3


def test_numbers_that_are_back_close_it(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 5, 1.2)
    (incident,) = history.check(opened).opened
    nightly(17, 6)
    checked = history.check(opened)
    assert [each.id for each in checked.fixed] == [incident.id]
    closed = opened.incidents.one(incident.id)
    assert closed.state == "fixed"
    assert (closed.changes[-1].by, closed.changes[-1].why) == ("loadlab", "as before since run run-017")
    assert history.check(opened).opened == ()


def test_what_was_accepted_stays_quiet_and_what_follows_does_not(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 12, 1.2)
    (incident,) = history.check(opened).opened
    opened.incidents.change(incident.id, "accepted", "ann", "bigger model")
    nightly(24, 1, 1.2)
    assert history.check(opened).opened == ()
    nightly(25, 5, 1.5)
    (second,) = history.check(opened).opened
    assert second.evidence["first_bad_run"] == "run-025"
    assert opened.incidents.one(incident.id).state == "accepted"


def test_a_step_for_the_better_is_no_incident(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 6, 0.8)
    checked = history.check(opened)
    assert checked.opened == ()
    assert all(each.strong for each in checked.seen.found)


def test_a_regression_that_was_over_before_anybody_looked_is_history(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 6, 1.2)
    nightly(18, 8)
    assert history.check(opened).opened == ()


def test_the_driver_that_came_with_it_is_named(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12, environment={"server": {"driver": "570"}})
    nightly(12, 4, 1.2, environment={"server": {"driver": "580"}})
    (incident,) = history.check(opened).opened
    assert incident.evidence["causes"] == ["driver: 570 → 580"]


def test_one_slow_run_is_suspect_and_no_incident(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 1, 1.3)
    checked = history.check(opened)
    assert checked.opened == ()
    assert {each.alarm.run_id for each in checked.seen.suspects if each.alarm} == {"run-012"}


def test_two_kinds_have_an_incident_each(opened: Store, nightly: Nightly) -> None:
    for first, scenario in ((0, "chat"), (100, "rag")):
        nightly(first, 12, scenario=scenario)
        nightly(first + 12, 4, 1.2, scenario=scenario)
    opened_now = history.check(opened).opened
    assert sorted(each.scenario for each in opened_now) == ["chat", "rag"]
    assert history.check(opened, where={"scenario": "rag"}).opened == ()


def test_a_branch_has_a_history_of_its_own(opened: Store, nightly: Nightly) -> None:
    nightly(0, 12)
    nightly(12, 4, 1.2, environment={"branch": "feature"})
    checked = history.check(opened)
    assert checked.opened == ()
    assert {each.series.kind.branch for each in checked.seen.found} == {"", "feature"}
