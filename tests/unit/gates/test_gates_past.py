"""Outcomes per day and rules over time, from documents of gates."""

from __future__ import annotations

from typing import Any

from loadlab.gates.past import by_rule, per_day


def gate(number: int, outcome: str, day: str = "2026-11-21", **rules: str) -> dict[str, Any]:
    checks = [{"rule": rule, "kind": "slo", "outcome": said} for rule, said in rules.items()]
    about = {"id": f"gate-{number}", "at": f"{day}T10:00:00+00:00", "outcome": outcome}
    return {"gate": about, "checks": checks}


def test_days_are_counted_in_order() -> None:
    days = per_day([gate(2, "FAIL", "2026-11-22"), gate(1, "PASS"), gate(0, "PASS")])
    assert list(days) == ["2026-11-21", "2026-11-22"]
    assert days["2026-11-21"] == {"PASS": 2, "FAIL": 0, "INCONCLUSIVE": 0, "INVALID": 0}


def test_rule_wavers_where_one_commit_let_it_pass_and_fail() -> None:
    documents = [gate(0, "PASS", a="PASS", b="PASS"), gate(1, "FAIL", a="FAIL", b="PASS"),
                 gate(2, "FAIL", a="FAIL", b="PASS")]  # fmt: skip
    found = {past.rule: past for past in by_rule(documents, {"gate-0": "c1", "gate-1": "c1", "gate-2": "c2"})}
    assert (found["a"].failed, found["a"].twice, found["a"].wavered) == (2, 1, 1)
    assert (found["b"].failed, found["b"].wavered) == (0, 0)


def test_rule_never_fires_only_after_enough_gates() -> None:
    few, many = ([gate(n, "PASS", a="PASS") for n in range(count)] for count in (4, 5))
    assert not by_rule(few, {})[0].never_fires
    assert by_rule(many, {})[0].never_fires


def test_what_is_for_information_is_no_rule_that_blocks() -> None:
    assert by_rule([gate(0, "PASS", a="INFO")], {}) == []
