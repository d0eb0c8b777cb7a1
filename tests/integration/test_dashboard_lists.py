"""Compare, gates, runs, targets, settings and glossary as functions, on a real SQLite store."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashboard_data as made
import pytest
from test_dashboard_pages import at

import dashboard
import loadlab.store
from dashboard.access import ReadOnlyError, acting_as
from dashboard.pages.runs import pin
from dashboard.source import Source
from loadlab.core.nouns import Terms
from loadlab.store import Store

ONE, TWO, OTHER = "20261121-100000-aaaa", "20261121-110000-bbbb", "20261121-120000-cccc"
GATE = "gate-20261121-130000-dddd"


def check(rule: str, kind: str, outcome: str, **more: Any) -> dict[str, Any]:
    bare = {"value": None, "low": None, "high": None, "limit": "", "unit": "", "n": 0, "timeless": False}
    return {"rule": rule, "kind": kind, "outcome": outcome, "words": f"{rule} in words", **bare, **more}


def document(gate_id: str, outcome: str, *checks: dict[str, Any]) -> dict[str, Any]:
    about = {"id": gate_id, "scenario": "chat", "at": "2026-11-21T13:00:00+00:00", "outcome": outcome,
             "reproduce": "loadlab gate run --seed 7", "passes": ["PASS"]}  # fmt: skip
    return {"gate": about, "headline": "1 of 2 rules broken", "invalid": [], "notes": ["a note"],
            "base": [ONE], "candidate": [TWO], "checks": list(checks)}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with loadlab.store.open(f"sqlite:///{tmp_path_factory.mktemp('lists')}/runs.db") as opened:
        made.fill(
            opened,
            made.sweep(ONE, users=(4,), age_s=7200),
            made.sweep(TWO, users=(4,), slower=1.3, age_s=3600),
            made.sweep(OTHER, users=(4, 8), model="other-7b"),
        )
        slower = check("ttft_ms.p50", "regress", "FAIL", value=1.3, low=1.2, high=1.4,
                       limit="≤ 3% worse, surely ≤ 10% worse", unit="ratio", n=1)  # fmt: skip
        kept = check("ttft_ms.p95 <= 200ms", "slo", "PASS", value=120.0, low=110.0, high=140.0,
                     limit="<= 200 ms", unit="ms", n=48)  # fmt: skip
        opened.add_gate(GATE, "FAIL", document(GATE, "FAIL", kept, slower))
        yield opened


@pytest.fixture(scope="module")
def source(store: Store) -> Source:
    return Source(store)


@pytest.fixture
def nothing(sqlite_url: str) -> Iterator[Source]:
    with loadlab.store.open(sqlite_url) as opened:
        yield Source(opened)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No loadlab.toml of the place where the tests run."""
    monkeypatch.chdir(tmp_path)


def test_comparison_draws_ratios_and_a_grey_base(source: Source) -> None:
    text = at(source, "/compare", f"?runs={ONE},{TWO}")
    assert f"{TWO} is worse in" in text
    assert "Comparable: nothing that changes the question differs" in text
    assert "figure-forest" in text
    assert '"line": {"color": "#6B7280"' in text


def test_comparison_takes_the_last_two_alike_by_default(source: Source) -> None:
    assert f'"value": ["{ONE}", "{TWO}"]' in at(source, "/compare")


def test_comparison_of_other_models_is_refused_until_it_was_meant(source: Source) -> None:
    refused = at(source, "/compare", f"?runs={ONE},{OTHER}")
    assert "must not be compared: model: smollm2-135m" in refused
    assert "There is no ratio to draw" in refused
    assert "vary=model" in refused
    assert "figure-forest" in at(source, "/compare", f"?runs={ONE},{OTHER}&vary=model")


def test_comparison_at_a_load_that_one_lacks_names_it(source: Source) -> None:
    assert "Only other-7b" in at(source, "/compare", f"?runs={ONE},{OTHER}&load=8%20users")


def test_one_run_is_no_comparison(source: Source) -> None:
    assert "A comparison takes two runs" in at(source, "/compare", f"?runs={ONE}")


def test_gates_list_verdict_and_rules(source: Source) -> None:
    text = at(source, "/gates")
    assert "The latest gate is FAIL: 1 of 2 rules broken." in text
    assert f'"href": "/gates/{GATE}"' in text
    assert "figure-gate-trend" in text


def test_gates_filtered_to_nothing_offer_all(source: Source) -> None:
    assert "No gate matches these filters." in at(source, "/gates", "?outcome=PASS")


def test_gate_shows_rules_dots_environment_and_command(source: Source) -> None:
    text = at(source, "/gates/latest")
    assert "figure-gate-rules" in text
    assert "+30.0 %" in text
    assert "110 ms \\u2026 140 ms" in text
    assert "loadlab gate run --seed 7" in text
    assert "Nothing that is recorded differs" in text


def test_gate_draws_a_dot_per_run_and_the_margin(source: Source) -> None:
    from dashboard.gating import document as gate
    from dashboard.gating import rule_rows

    regress, slo = rule_rows(source, gate(source, GATE))
    assert regress.limit == pytest.approx(regress.base[0] * 1.1)
    assert len(regress.base) == len(regress.candidate) == len(slo.candidate) == 1
    assert (slo.limit, slo.upper) == (200.0, True)


def test_unknown_gate_is_a_page_and_a_404(store: Store, source: Source) -> None:
    assert "No such gate" in at(source, "/gates/gate-x")
    client = dashboard.create_app(store).server.test_client()
    assert client.get("/gates/gate-x").status_code == 404
    assert client.get(f"/gates/{GATE}").status_code == 200


def test_runs_are_found_ordered_and_picked_by_url(source: Source) -> None:
    text = at(source, "/runs", f"?q=other-7b&pick={ONE}")
    assert "1 run match" in text
    assert f'"href": "/run/{OTHER}"' in text
    assert f"pick={ONE},{OTHER}" in text
    assert "The order" not in text


def test_runs_searched_in_vain_offer_all(source: Source) -> None:
    assert "No run matches." in at(source, "/runs", "?q=nobody")


def test_unknown_order_of_runs_is_explained(source: Source) -> None:
    assert "order of runs 'beauty' is not known" in at(source, "/runs", "?sort=beauty")


def test_targets_of_the_file_and_of_the_store(source: Source, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text('[targets.new]\nurl = "http://127.0.0.1:1/v1"\nmodel = "m"\n')
    text = at(source, "/targets")
    assert "never run" in text
    assert "0 % of 96" in text


def test_settings_say_what_is_in_force(source: Source, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text("[slos.checkout]\nttft_ms = 400\nshare = 0.99\n")
    text = at(source, "/settings")
    assert "checkout" in text
    assert "h100-hour" in text


def test_settings_show_a_broken_file_and_go_on(source: Source, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text("[slos\n")
    assert "is not valid TOML" in at(source, "/settings")
    assert "is not valid TOML" in at(source, "/targets")


def test_glossary_holds_metrics_and_words(source: Source) -> None:
    text = at(source, "/glossary")
    assert "first_token - sent" in text
    assert "coordinated omission" in text
    assert "coordinated omission" not in at(source, "/glossary", "?q=goodput")


@pytest.mark.parametrize(
    "path", ["/cost", "/hardware", "/compare", "/runs", "/gates", "/targets", "/settings", "/glossary"]
)
def test_empty_store_has_every_page(nothing: Source, path: str) -> None:
    text = at(nothing, path)
    assert "cannot be shown" not in text
    assert json.loads(text)


def test_price_shown_is_the_one_in_force(store: Store) -> None:
    cheap = dataclasses.replace(made.PRICE, name="cheaper", usd_per_hour=0.04)
    store.reprice(OTHER, cheap, "", Terms())
    fresh = Source(store)
    assert "cheaper" in at(fresh, f"/run/{OTHER}", "?tab=setting")
    assert "Price cheaper" in at(fresh, "/tradeoff", f"?runs={OTHER}")


def test_cost_adds_up_by_target_and_by_class(source: Source) -> None:
    text = at(source, "/cost", "?w=all")
    assert "in all over 3 runs" in text
    assert "figure-spend" in text
    assert "figure-paid" in text
    assert "figure-idle" in text
    assert "hardware hours" in at(source, "/cost", "?w=all&by=class")


def test_cost_draws_the_budget_of_the_file(source: Source, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text("[cost]\nbudget_usd_per_month = 300\n")
    assert "budget $10" in at(source, "/cost", "?w=all")
    (tmp_path / "loadlab.toml").write_text("[cost]\nbudget_usd_per_month = -1\n")
    assert "must be more than 0" in at(source, "/cost", "?w=all")


def test_cost_of_unpriced_runs_says_how_to_price_them(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as opened:
        made.fill(opened, made.sweep(ONE, users=(2,), requests=6, priced=False))
        text = at(Source(opened), "/cost", "?w=all")
    assert "None of the 1 run has a price" in text
    assert "loadlab cost reprice latest" in text


def test_hardware_shows_lanes_table_and_power_of_gpus(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as opened:
        made.fill(opened, made.with_gpus(made.sweep(ONE, users=(2,), requests=24), "gpu0", "gpu1"))
        both, one = (at(Source(opened), "/hardware", search) for search in ("", "?gpu=gpu1"))
    for part in ("figure-lanes", "figure-power", "gpu0: power (W)", "Each GPU"):
        assert part in both
    assert "gpu0: power (W)" not in one


def test_hardware_without_a_gpu_says_how_to_read_one(source: Source) -> None:
    assert "loadlab gpu agent" in at(source, "/hardware")


def test_hardware_of_a_hosted_api_is_not_applicable(sqlite_url: str) -> None:
    far = made.sweep(ONE, users=(2,), requests=6)
    endpoint = dataclasses.replace(far.run.endpoint, url="https://api.example.com/v1")
    far.run = dataclasses.replace(far.run, endpoint=endpoint)
    with loadlab.store.open(sqlite_url) as opened:
        made.fill(opened, far)
        assert "Not applicable to a hosted API" in at(Source(opened), "/hardware")


def test_only_an_operator_pins_a_baseline(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as opened:
        made.fill(opened, made.sweep(ONE, users=(2,), requests=6))
        source = Source(opened)
        with acting_as("reader"):
            assert "Pin as baseline" not in at(source, "/runs", f"?pick={ONE}")
            with pytest.raises(ReadOnlyError):
                pin(source, "main", [ONE])
        with acting_as("operator"):
            assert "Pin as baseline" in at(source, "/runs", f"?pick={ONE}")
            assert pin(source, "main", [ONE[:14]]) == "✓ baseline main is 1 run now"
        assert opened.baseline("main") == [ONE]
