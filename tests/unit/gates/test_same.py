"""False alarms counted: what a rule that cries wolf comes to."""

from __future__ import annotations

from typing import Any

import pytest

from loadlab.gates import same


def document(outcome: str = "PASS", failed: bool = False) -> dict[str, Any]:
    found = {"rule": "ttft_ms.p50", "kind": "regress", "outcome": "FAIL" if failed else "PASS", "n": 6}
    inform = {**found, "rule": "itl_ms.p50", "kind": "inform", "outcome": "INFO"}
    bounds = {"low": 0.98, "high": 1.02}
    return {"gate": {"outcome": outcome}, "checks": [{**found, **bounds}, {**inform, **bounds}]}


def test_a_rule_is_counted_with_what_it_finds() -> None:
    (found,) = same.tally([document() for _ in range(60)], 0.03)
    assert (found.rule, found.n, found.failed, found.demoted) == ("ttft_ms.p50", 60, 0, False)
    assert found.high < 0.07
    assert found.finds == pytest.approx(0.063, abs=0.004)


@pytest.mark.parametrize(("n", "failed", "demoted"), [(20, 1, False), (20, 2, True), (19, 9, False)])
def test_a_rule_that_cries_wolf_is_demoted(n: int, failed: int, demoted: bool) -> None:
    (found,) = same.tally([document(failed=at < failed) for at in range(n)], 0.03)
    assert found.demoted is demoted


def test_only_the_last_hundred_that_could_be_judged_count() -> None:
    documents = [document("INVALID", failed=True), *[document()] * 100, *[document(failed=True)] * 50]
    (found,) = same.tally(documents, 0.03)
    assert (found.n, found.failed) == (100, 0)


def test_none_is_none() -> None:
    assert same.tally([], 0.03) == []
