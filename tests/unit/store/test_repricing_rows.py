"""Prices that come later beside the first one, and what runs used, on both backends."""

from __future__ import annotations

from collections.abc import Callable

from loadlab.core.nouns import Price, PriceStep, Result, Run, Terms
from loadlab.store import Store

MakeRun = Callable[..., Run]
MakeResult = Callable[..., Result]
STEPPED = Price(
    "api", "token", "a list", "2026-11-21", input_usd_per_mtok=0.1,
    steps=(PriceStep({"input_usd_per_mtok": 0.2}, "2026-12-01T00:00:00+00:00", 1000),),
)  # fmt: skip


def test_a_runs_own_price_stays_first_and_the_newest_is_last(opened: Store, make_run: MakeRun) -> None:
    run = make_run(terms=Terms(duty_cycle=0.5, slo={"ttft_ms": 500.0}))
    opened.begin_run(run)
    (own,) = opened.pricings("run-a")
    assert (own.price, own.terms, own.priced_at_ns) == (run.price, run.terms, run.started_at_ns)
    opened.reprice("run-a", STEPPED, "", Terms(pue=1.2))
    opened.reprice("run-a", None, "unpriced: withdrawn", Terms())
    first, second, third = opened.pricings("run-a")
    assert first == own
    assert (second.price, second.terms) == (STEPPED, Terms(pue=1.2))
    assert (third.price, third.unpriced) == (None, "unpriced: withdrawn")
    assert first.priced_at_ns < second.priced_at_ns <= third.priced_at_ns
    assert opened.run("run-a").price == run.price


def test_a_price_with_steps_survives_the_run(opened: Store, make_run: MakeRun) -> None:
    opened.begin_run(make_run(price=STEPPED, max_cost_usd=0.5, max_rate=20.0))
    stored = opened.run("run-a")
    assert stored.price == STEPPED
    assert (stored.spec.max_cost_usd, stored.spec.max_rate) == (0.5, 20.0)


def test_what_runs_used_is_summed_by_level_warmup_and_outcome(
    opened: Store, make_run: MakeRun, make_result: MakeResult
) -> None:
    opened.begin_run(make_run())
    opened.begin_run(make_run(id="run-old", started_at_ns=5))
    results = [
        make_result(0, cost_nano_usd=10, warmup=True),
        make_result(1, cost_nano_usd=20),
        make_result(2, cost_nano_usd=None),
        make_result(3, cost_nano_usd=0, error_kind="http_500", prompt_tokens=None, output_tokens=None),
        make_result(4, cost_nano_usd=2**40, level=1),
    ]
    opened.write("run-a", results, [])
    opened.write("run-old", [make_result(0)], [])
    found = opened.spent(since_ns=6)
    assert set(found["run_id"]) == {"run-a"}
    rows = {
        (int(row.level), bool(row.warmup), bool(row.ok)): (
            row.requests, row.known_costs, row.cost_nano_usd, row.output_tokens
        )
        for row in found.itertuples()
    }  # fmt: skip
    assert rows == {
        (0, True, True): (1, 1, 10, 4),
        (0, False, True): (2, 1, 20, 8),
        (0, False, False): (1, 1, 0, None),
        (1, False, True): (1, 1, 2**40, 4),
    }
    first = min(found["first_ns"])
    assert first == 0
    assert set(opened.spent()["run_id"]) == {"run-a", "run-old"}


def test_no_runs_used_nothing(opened: Store) -> None:
    assert opened.spent().empty
