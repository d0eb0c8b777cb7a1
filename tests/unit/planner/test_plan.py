"""Whole plans on sweeps of known capacity: counts, hardware, money, mixes, refusals, what-ifs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import sweeps

from loadlab.core.errors import MeasurementError, UsageError
from loadlab.core.money import Price
from loadlab.planner import Ask, Demand, Plan, aids, autoscale, plan
from loadlab.planner.ask import monthly_growth
from loadlab.planner.demand import of_day, of_peak
from loadlab.planner.holdout import holdout
from loadlab.planner.measured import Measured
from loadlab.planner.sizing import hardware, replicas_for
from loadlab.reports import plan as report
from loadlab.reports.plan_document import document as document_of

SLO = "ttft_ms.p95=5000"  # held throughout: the capacity is the last load, 8
API = {"prices": {"api": {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 4.0, "as_of": "2026-11-01"}}}


def made(measured: Measured | None = None, demand: Demand | None = None, **ask: object) -> Plan:
    asked = Ask(**{"slo": SLO, "config": API, **ask})  # type: ignore[arg-type]
    return plan([(1.0, measured or sweeps.knee())], demand or of_peak(40.0, "req/s"), asked)


@pytest.mark.parametrize(
    ("peak", "each", "headroom", "spare", "count"),
    [(40, 8, 0.0, 0, 5), (40, 8, 0.2, 1, 8), (40.01, 8, 0.0, 0, 6), (0.1, 8, 0.2, 2, 3), (32, 8, 0.2, 0, 5)],
)
def test_the_count_is_the_formula(peak: float, each: float, headroom: float, spare: int, count: int) -> None:
    assert replicas_for(peak, each, headroom, spare) == count


@pytest.mark.parametrize(
    ("replicas", "each", "node", "nodes", "gpus"),
    [
        (7, 1, 8, 1, 8),
        (9, 1, 8, 2, 16),
        (5, 2, 8, 2, 16),
        (3, 16, 8, 6, 48),
        (3, 5, 8, 3, 24),
        (3, 2, None, None, 6),
    ],
)
def test_gpus_come_in_whole_nodes(
    replicas: int, each: int, node: int | None, nodes: int | None, gpus: int
) -> None:
    assert hardware(replicas, each, node) == (nodes, gpus)


def test_it_is_sized_with_the_low_end_and_says_what_the_high_end_would_take() -> None:
    found = made(slo="ttft_ms.p95=450")
    sized = found.parts[0].sized
    assert sized.per_replica < sized.point < sized.high
    assert found.replicas == math.ceil(40 / (0.8 * sized.per_replica)) + 1
    assert found.fewest == math.ceil(40 / (0.8 * sized.high)) + 1
    assert sized.utilisation == pytest.approx(40 / found.replicas / sized.point)


def test_growth_over_months_is_compound() -> None:
    assert monthly_growth(0.03, 12) == pytest.approx(1.03**12 - 1)
    assert made(growth=0.5, headroom=0.0, spare=0).replicas >= 60 / 8


def test_a_price_of_a_deployment_is_paid_per_replica_one_of_a_device_per_gpu() -> None:
    whole = made(sweeps.knee(price=sweeps.PRICE), gpus_per_replica=2)
    assert whole.usd_per_hour == pytest.approx(2.0 * whole.replicas)
    each = made(sweeps.knee(price=sweeps.GPU), gpus_per_replica=2, gpus_per_node=8)
    assert each.usd_per_hour == pytest.approx(3.0 * each.gpus)
    assert each.gpus % 8 == 0


def test_the_cost_of_tokens_is_that_of_the_operating_point() -> None:
    found = made()
    assert found.usd_per_hour is not None
    assert found.usd_per_mtok() == pytest.approx(found.usd_per_hour / (40 * 50 * 3600 / 1e6), rel=1e-3)


def test_without_a_price_it_is_unpriced_and_never_free() -> None:
    found = made(sweeps.knee(price=None))
    assert found.usd_per_month is None
    assert "unpriced" in report.render(found)
    assert document_of(found)["usd_per_month"] is None


def test_users_on_an_open_sweep_go_by_littles_law() -> None:
    """An answer takes 490 ms and its TTFT; ten seconds of thought make it slower."""
    found = made(demand=of_peak(400.0, "users"), think_s=10.0)
    assert found.parts[0].sized.peak == pytest.approx(400 / 10.6, rel=0.02)
    assert any("Little" in doubt for doubt in found.parts[0].sized.doubts)


def test_a_closed_sweep_is_planned_by_users_and_by_rate_with_a_doubt() -> None:
    users = made(sweeps.knee("users"), of_peak(40.0, "users"))
    assert users.parts[0].sized.per_replica == 8.0
    rate = made(sweeps.knee("users"), of_peak(40.0, "req/s"))
    assert rate.parts[0].sized.per_replica == pytest.approx(80.0)
    assert any("closed loop" in doubt for doubt in rate.parts[0].sized.doubts)


def test_latency_is_told_between_measured_loads_and_never_beyond() -> None:
    at_five = made(demand=of_peak(10.0, "req/s"), spare=0)
    assert at_five.parts[0].sized.load == pytest.approx(5.0)
    assert 150 < (at_five.parts[0].sized.latencies["ttft_ms.p95"] or 0) < 225
    idle = made(demand=of_peak(1.0, "req/s"))
    assert set(idle.parts[0].sized.latencies.values()) == {None}
    assert "not slower than at 2 req/s poisson" in report.render(idle)


def test_other_lengths_are_refused_with_the_command() -> None:
    longer = Demand(40.0, "req/s", "a trace", prompt_tokens=2000.0, output_tokens=50.0)
    with pytest.raises(MeasurementError, match="prompt tokens 2,000 asked, 100 measured") as refused:
        made(demand=longer)
    assert "--prompt-tokens 2000" in str(refused.value)
    assert made(demand=longer, as_measured=True).replicas > 0


def test_a_mix_adds_up() -> None:
    other = sweeps.sweep([sweeps.level(1.0, 100), sweeps.level(2.0, 100)], sweeps.GPU)
    found = plan([(0.75, sweeps.knee()), (0.25, other)], of_peak(40.0, "req/s"), Ask(slo=SLO))
    counts = [part.sized.replicas for part in found.parts]
    assert found.replicas == sum(counts)
    assert [part.sized.peak for part in found.parts] == [30.0, 10.0]
    assert found.usd_per_hour == pytest.approx(2.0 * counts[0] + 3.0 * counts[1])
    with pytest.raises(UsageError, match="add up"):
        plan([(0.5, other)], of_peak(4.0, "req/s"), Ask(slo=SLO))


def test_break_even_is_where_the_bills_meet() -> None:
    """100 prompt and 50 output tokens cost the API 300 micro-dollars; one box costs $2 an hour."""
    even = made(api_price="api", spare=0, headroom=0.0).even
    assert even is not None
    assert even.api_usd == pytest.approx(40 * 730 * 3600 * 300e-6, rel=1e-3)
    assert even.first_cheaper is not None
    # Own hardware wins once one box ($1,460 a month) costs less than the API's 2 $/Mtok.
    assert even.first_cheaper == pytest.approx(1460 / 2.0, rel=0.06)
    assert even.own_usd_per_mtok < even.api_usd_per_mtok


def test_a_cheap_api_is_never_beaten() -> None:
    cheap = {
        "prices": {"api": {"input_usd_per_mtok": 0.001, "output_usd_per_mtok": 0.001, "as_of": "2026-11-01"}}
    }
    even = made(api_price="api", config=cheap).even
    assert even is not None
    assert even.cheaper_from is None
    assert even.saved_share < 0


def test_policies_of_a_day() -> None:
    day = of_day([4.0] * 12 + [30.0] * 12)
    found = {course.policy: course for course in made(demand=day).courses}
    assert found["static"].serving.min() == found["static"].serving.max()
    assert found["scheduled"].replica_hours < found["static"].replica_hours
    assert found["scheduled"].over_slo == 0
    # The step up finds too few replicas for the five minutes of the cold start.
    assert found["reactive"].longest_wait_s > 30
    assert 0 < found["reactive"].over_slo < 0.05


def test_cold_starts_are_paid_from_the_order_on() -> None:
    one = autoscale.Replica(4.0, 5.0, lambda rate: 0.0, 1.0)
    minutes = np.array([2.0] * 60 + [10.0] * 60)
    reactive = next(c for c in autoscale.courses(minutes, one, 3, 0, 300.0) if c.policy == "reactive")
    # Three replicas are wanted one minute after the step and serve five minutes later.
    assert reactive.serving.tolist() == [1.0] * 66 + [3.0] * 54
    assert reactive.replica_hours == pytest.approx((61 + 3 * 59) / 60)


def test_levers_move_both_ways() -> None:
    for lever in made(slo="ttft_ms.p95=450").levers:
        assert lever.low <= lever.high


def test_the_three_faces_say_the_same() -> None:
    found = made(demand=of_day([4.0] * 12 + [30.0] * 12), api_price="api")
    text, page, document = report.render(found), report.markdown(found), document_of(found)
    assert json.loads(json.dumps(document, allow_nan=False))["replicas"] == found.replicas
    for face in (text, page):
        assert f"{found.replicas} replicas" in face
        assert "reactive" in face
    assert page.startswith(f"### {document['answer']}")
    assert max(map(len, (line for line in text.splitlines() if "loadlab sweep" not in line))) <= 100


def test_left_out_loads_are_missed_by_what_the_curve_bends() -> None:
    straight = sweeps.sweep([sweeps.level(x, 100 * 1.2**x, n=20_000) for x in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert max(missed.share for missed in holdout(straight)) < 0.02
    assert holdout(sweeps.sweep([sweeps.level(1.0, 100)])) == []


def test_batch_law_and_usl_find_what_was_put_in() -> None:
    n = np.array([1.0, 2, 4, 8, 16, 32, 64])
    truth = (10.0, 0.05, 0.0004)
    assert aids._usl(n, aids._throughput(n, *truth)) == pytest.approx(truth, rel=1e-6)
    law = aids.batch_law(sweeps.knee())
    assert law is not None
    assert law.a_ms == pytest.approx(10.0, rel=1e-6)
    assert law.b_ms == pytest.approx(0.0, abs=1e-9)


def test_pooling_is_the_table_of_erlang() -> None:
    assert [round(share, 2) for _, share in aids.pooling()] == [0.2, 0.45, 0.65, 0.79, 0.87, 0.93]
    assert aids.erlang_c(1, 0.7) == pytest.approx(0.7)
    assert aids.burst_factor(1.0, 0.5) == 1.0
    assert aids.burst_factor(4.0, 1.0) == 2.5


@pytest.mark.parametrize("wrong", [{"headroom": 1.0}, {"spare": -1}, {"growth": -1.0}, {"gpus_per_node": 0}])
def test_margins_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        made(**wrong)


def test_a_token_price_rents_nothing_and_an_hour_price_is_no_api() -> None:
    with pytest.raises(UsageError, match="by use"):
        made(price="api")
    with pytest.raises(UsageError, match="not by the token"):
        made(api_price="2.50/h")


def test_energy_where_it_was_measured() -> None:
    found = made(sweeps.knee(hardware={"gpu_power_w": 500.0, "gpus": 2}))
    assert found.gpus == 2 * found.replicas
    assert found.kwh_per_month == pytest.approx(0.5 * found.replicas * 730)
    assert made().kwh_per_month is None


def test_a_token_price_of_the_run_is_no_price_of_a_replica() -> None:
    token = Price("t", "token", "a list", "2026-11-01", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
    assert "no hourly price" in made(sweeps.knee(price=token)).parts[0].sized.unpriced
