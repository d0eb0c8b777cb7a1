"""Incidents: opened, put from state to state with a reason, told of once."""

from __future__ import annotations

import pytest

from loadlab.core.errors import NoDataError, StoreError, UnknownNameError
from loadlab.store import Change, Incident, Store


def incident(name: str = "inc-1", opened_at_ns: int = 100) -> Incident:
    return Incident(
        name, opened_at_ns, "open", "chat", "local", "tiny", "2 × H100", ("ttft_ms.p50", "itl_ms.p50"),
        {"first_bad_run": "b", "series": [{"metric": "ttft_ms.p50", "p": 1e-5}]},
        (Change(opened_at_ns, "open", "loadlab", "found"),),
    )  # fmt: skip


def test_an_incident_comes_back_as_it_was_stored(opened: Store) -> None:
    opened.incidents.add(incident())
    assert opened.incidents.all() == [incident()]
    assert opened.incidents.one("latest") == opened.incidents.one("inc") == incident()


def test_an_id_is_stored_once(opened: Store) -> None:
    opened.incidents.add(incident())
    with pytest.raises(StoreError):
        opened.incidents.add(incident())


def test_a_change_of_state_keeps_who_and_why(opened: Store) -> None:
    opened.incidents.add(incident())
    found = opened.incidents.change("inc-1", "accepted", "ann", "a bigger model")
    assert found.state == "accepted"
    assert [(each.state, each.by, each.why) for each in found.changes] == [
        ("open", "loadlab", "found"),
        ("accepted", "ann", "a bigger model"),
    ]
    assert opened.incidents.all(["open"]) == []
    assert opened.incidents.all(["accepted", "fixed"]) == [found]


def test_nobody_is_told_twice(opened: Store) -> None:
    opened.incidents.add(incident("inc-1"))
    opened.incidents.add(incident("inc-2", 200))
    assert [each.id for each in opened.incidents.all(untold=True)] == ["inc-2", "inc-1"]
    opened.incidents.mark_notified("inc-2")
    assert [each.id for each in opened.incidents.all(untold=True)] == ["inc-1"]
    assert opened.incidents.one("inc-2").notified_at_ns is not None


def test_what_is_not_there_is_named(opened: Store) -> None:
    for ref in ("inc-9", "", "latest"):
        with pytest.raises(NoDataError, match="loadlab history list"):
            opened.incidents.one(ref)
    with pytest.raises(NoDataError):
        opened.incidents.mark_notified("inc-9")
    opened.incidents.add(incident())
    with pytest.raises(UnknownNameError, match="acknowledged"):
        opened.incidents.change("inc-1", "acknowledge", "ann", "")
