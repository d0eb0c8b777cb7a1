"""`loadlab cost` on a real SQLite store: sums, prices that come later, mixes."""

from __future__ import annotations

import csv
import io
import json
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from loadlab import store
from loadlab.cli.cost import app
from loadlab.core import nouns
from loadlab.core.errors import LoadlabError, NoDataError, UnknownNameError, UsageError

S, MS = 1_000_000_000, 1_000_000
CHEAP = nouns.Price(
    "cheap", "token", "a list", "2026-11-01", input_usd_per_mtok=1.0, output_usd_per_mtok=10.0
)
HOUR = nouns.Price("box", "hour", "a list", "2026-11-01", usd_per_hour=36.0)
NOW = time.time_ns()


def answer(seq: int, ttft_ms: int, cost: int | None, **changes: Any) -> nouns.Result:
    sent = 100 * S + seq * 100 * MS
    first = sent + ttft_ms * MS
    known: dict[str, Any] = {
        "level": 0, "worker": 0, "seq": seq, "warmup": False, "planned_ns": sent, "sent_ns": sent,
        "connect_ns": 0, "tls_ns": 0, "reused": True, "retries": 0, "first_byte_ns": first,
        "first_event_ns": first, "first_token_ns": first, "first_answer_ns": first,
        "last_token_ns": first + 10 * MS, "done_ns": first + 20 * MS, "status": 200, "error_kind": None,
        "error_detail": None, "finish_reason": "stop", "max_tokens": 100, "prompt_tokens": 1000,
        "cached_tokens": 0, "output_tokens": 100, "reasoning_tokens": None, "chunks": 2,
        "count_source": "usage", "cost_nano_usd": cost, "arrivals_ns": [first, first + 10 * MS],
    }  # fmt: skip
    return nouns.Result(**{**known, **changes})


def put(
    database: store.Store,
    name: str,
    results: list[nouns.Result],
    price: nouns.Price | None,
    days_ago: int = 0,
    routes: tuple[nouns.Route, ...] = (),
) -> None:
    run = nouns.Run(
        id=name, scenario="chat", scenario_path="scenarios/chat.py",
        endpoint=nouns.Endpoint("http://h/v1", f"model-{name[0]}", name=f"target-{name[0]}"),
        levels=(nouns.Level(0, users=1, requests=4),), seed=1, timeout_s=60, clock_ns=100 * S,
        started_at_ns=NOW - days_ago * 86_400 * S - 60 * S, price=price,
        unpriced="" if price else "unpriced: no price", routes=routes,
    )  # fmt: skip
    database.begin_run(run)
    database.begin_level(name, run.levels[0], 100 * S)
    database.write(name, results, [])
    database.finish_level(name, 0, 101 * S)
    database.finish_run(name, "finished")


@pytest.fixture
def url(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Small (0.2 ct a request, 100 ms), large by the hour (300 ms), one that failed, one without a price."""
    monkeypatch.chdir(tmp_path)
    with closing(store.open(sqlite_url)) as database:
        put(database, "small-1", [answer(at, 100, 2 * MS) for at in range(4)], CHEAP, days_ago=40)
        broken = answer(1, 100, 1 * MS, error_kind="truncated", output_tokens=10)
        put(database, "small-2", [answer(0, 100, 2 * MS, warmup=True), broken, answer(2, 100, 2 * MS)], CHEAP)
        put(database, "large-1", [answer(at, 300, None) for at in range(4)], HOUR)
        put(database, "odd-1", [answer(at, 300, None) for at in range(2)], None)
    return sqlite_url


def cost(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--db", url])


def document(url: str, *arguments: str) -> Any:
    done = cost(url, *arguments, "--json")
    assert done.exit_code == 0, done.exception
    return json.loads(done.stdout)


def test_costs_by_target_are_sums_of_every_request(url: str) -> None:
    small, odd, large = (
        next(row for row in document(url, "--by", "target")["costs"] if row["target"] == f"target-{name}")
        for name in "sol"
    )
    assert (small["runs"], small["requests"], small["failed"]) == (2, 7, 1)
    assert small["usd"] == pytest.approx(4 * 0.002 + 0.002 + 0.001 + 0.002)
    assert small["wasted_usd"] == pytest.approx(0.001)
    assert small["usd_per_mtok_output"] == pytest.approx(0.013 / 600 * 1e6)
    # From 0 to 300 ms + 3 × 100 ms + 20 ms at a cent a second.
    assert large["usd"] == pytest.approx(0.0062)
    assert (odd["usd"], odd["usd_at_least"], odd["usd_per_mtok_output"]) == (None, None, None)


def test_a_group_with_something_unpriced_has_no_sum(url: str) -> None:
    (all_of_them,) = document(url, "--by", "scenario")["costs"]
    assert all_of_them["usd"] is None
    assert all_of_them["usd_at_least"] == pytest.approx(0.013 + 0.0062)
    assert "at least $0.0192" in cost(url, "--by", "scenario").stdout


def test_since_leaves_older_runs_out(url: str) -> None:
    assert {row["run"] for row in document(url, "--by", "run", "--since", "30d")["costs"]} == {
        "small-2", "large-1", "odd-1",
    }  # fmt: skip
    assert len(document(url, "--by", "run", "--since", "50d")["costs"]) == 4
    assert len(document(url, "--by", "run", "--since", "2020-01-01")["costs"]) == 4
    assert len(document(url, "--by", "run", "--since", "99999999d")["costs"]) == 4
    done = cost(url, "--since", "1s")
    assert isinstance(done.exception, NoDataError), done.stdout


def test_csv_has_a_column_for_every_key(url: str) -> None:
    rows = list(csv.DictReader(io.StringIO(cost(url, "--by", "model,scenario", "-f", "csv").stdout)))
    assert [row["model"] for row in rows] == ["model-l", "model-o", "model-s"]
    assert rows[1]["usd"] == ""
    assert float(rows[2]["usd"]) == pytest.approx(0.013)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("--by", "colour"), UnknownNameError, "cost group 'colour'"),
        (("--since", "last week"), UsageError, "duration 'last week'"),
        (("--since", "2026-13-45"), UsageError, "is not a date"),
        (("--since", "2999-01-01"), UsageError, "still to come"),
        (("-f", "xml"), UnknownNameError, "format 'xml'"),
    ],
)
def test_a_question_that_makes_no_sense(
    url: str, arguments: tuple[str, ...], kind: type[LoadlabError], words: str
) -> None:
    failure = cost(url, *arguments).exception
    assert isinstance(failure, kind)
    assert words in str(failure)


def test_a_run_priced_again_keeps_what_it_cost_before(url: str, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text(
        '[prices.dear]\ninput_usd_per_mtok = 2\noutput_usd_per_mtok = 20\nas_of = "2026-11-20"\n'
    )
    found = document(url, "reprice", "small-1", "--price", "dear")
    assert (found["before_usd"], found["after_usd"]) == (pytest.approx(0.008), pytest.approx(0.016))
    assert [one["price"]["name"] for one in found["pricings"]] == ["cheap", "dear"]
    shown = document(url, "show", "small-1")
    assert shown["levels"][0]["usd"] == pytest.approx(0.016)
    assert [one["price"]["name"] for one in shown["pricings"]] == ["cheap", "dear"]
    with closing(store.open(url)) as database:
        assert database.requests("small-1")["cost_nano_usd"].tolist() == [2 * MS] * 4
        assert database.run("small-1").price == CHEAP
    small = next(row for row in document(url, "--by", "run")["costs"] if row["run"] == "small-1")
    assert small["usd"] == pytest.approx(0.016)


def test_terms_given_later_are_kept_with_their_price(url: str) -> None:
    found = document(
        url, "reprice", "large-1", "--price", "36/h", "--duty-cycle", "0.5", "--slo", "ttft_ms=200"
    )
    assert found["pricings"][-1]["terms"]["duty_cycle"] == 0.5
    assert found["before_usd"] == pytest.approx(found["after_usd"])
    level = document(url, "show", "large-1")["levels"][0]
    assert level["usd_per_mtok_output"] == pytest.approx(2 * level["usd"] / 400 * 1e6)
    assert level["usd_per_mtok_output_at_slo"] is None
    again = document(url, "reprice", "large-1", "--price", "36/h")
    assert again["pricings"][-1]["terms"]["slo"] == {"ttft_ms": 200.0}


def test_a_run_that_has_no_price_any_more_says_so(url: str) -> None:
    done = cost(url, "reprice", "small-1")
    assert "$0.00800 before, unpriced now" in done.stdout
    assert "unpriced: no price is named" in done.stderr
    assert "in force" in done.stderr


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        (("--duty-cycle", "0"), "duty_cycle = 0 cannot be"),
        (("--pue", "0.9"), "pue = 0.9 cannot be"),
        (("--usd-per-kwh", "-1"), "usd_per_kwh = -1 cannot be"),
        (("--grid", "-1"), "g_co2e_per_kwh = -1 cannot be"),
        (("--slo", "ttft_ms=-4"), "a limit must be more than 0"),
        (("--price", "h10-hour"), "price 'h10-hour' is not known"),
    ],
)
def test_terms_that_cannot_be_are_refused_and_nothing_is_stored(
    url: str, flag: tuple[str, str], words: str
) -> None:
    failure = cost(url, "reprice", "small-1", *flag).exception
    assert isinstance(failure, UsageError)
    assert words in str(failure)
    with closing(store.open(url)) as database:
        assert len(database.pricings("small-1")) == 1


def test_a_tariff_without_power_says_so(url: str) -> None:
    cost(url, "reprice", "large-1", "--price", "36/h", "--usd-per-kwh", "0.3")
    assert "without measured power" in cost(url, "show", "large-1").stdout


def test_a_mix_of_two_runs_by_hand(url: str) -> None:
    found = document(url, "mix", "small-1", "large-1", "--share", "0.25")["mix"]
    # 3/4 × 0.2 ct + 1/4 × 0.62 ct / 4.
    assert found["usd_per_request"] == pytest.approx(0.75 * 0.002 + 0.25 * 0.00155)
    assert found["usd_per_mtok_output"] == pytest.approx(found["usd_per_request"] / 100 * 1e6)
    ttft = found["metrics"]["ttft_ms"]
    assert (ttft["p50"], ttft["p90"], ttft["p99"]) == (100.0, 300.0, 300.0)
    assert (
        document(url, "mix", "small-1", "large-1", "--share", "0")["mix"]["metrics"]["ttft_ms"]["p99"]
        == 100.0
    )
    assert "assumed: each part keeps" in cost(url, "mix", "small-1", "large-1").stdout


def test_a_response_cache_lowers_the_effective_price(url: str) -> None:
    found = document(url, "mix", "small-1", "--share", "0.4")["mix"]
    assert found["usd_per_request"] == pytest.approx(0.6 * 0.002)
    assert found["saved_share"] == pytest.approx(0.4)
    listed = found["parts"][0]["usd_per_mtok_output"]
    assert found["usd_per_mtok_output"] == pytest.approx(0.6 * listed)
    assert found["metrics"]["ttft_ms"] == dict.fromkeys(("p50", "p90", "p95", "p99"))


def test_a_mix_with_something_unpriced_is_unpriced_and_still_has_latencies(url: str) -> None:
    found = document(url, "mix", "small-1", "odd-1")["mix"]
    assert found["usd_per_request"] is None
    assert found["metrics"]["ttft_ms"]["p99"] == 300.0
    assert "mix: unpriced a request" in cost(url, "mix", "small-1", "odd-1").stdout


def test_a_share_beyond_all_is_refused(url: str) -> None:
    failure = cost(url, "mix", "small-1", "large-1", "--share", "1.5").exception
    assert isinstance(failure, UsageError)
    assert "--share 1.5 cannot be" in str(failure)
    missing = cost(url, "mix", "small-1:7", "large-1").exception
    assert isinstance(missing, UnknownNameError)


def test_idle_hours_are_paid_for_in_sums_and_mixes_as_in_the_summary(url: str) -> None:
    cost(url, "reprice", "large-1", "--price", "36/h", "--duty-cycle", "0.5")
    (level,) = document(url, "show", "large-1")["levels"]
    # 36/h is 1 ct a second: 0.62 s are 0.62 ct, at half the hours 1.24 ct, for 400 tokens and 4 answers.
    assert level["usd"] == pytest.approx(0.0062)
    assert level["usd_per_mtok_output"] == pytest.approx(0.0124 / 400 * 1e6)
    (row,) = (row for row in document(url, "--by", "run")["costs"] if row["run"] == "large-1")
    assert (row["usd"], row["usd_per_mtok_output"]) == pytest.approx((0.0062, 31.0))
    (part, _) = document(url, "mix", "large-1", "--share", "0.5")["mix"]["parts"]
    assert part["usd_per_request"] == pytest.approx(0.0031)


def test_two_pricings_at_one_price_are_told_apart_by_their_terms(url: str) -> None:
    flags = ("--duty-cycle", "0.5", "--usd-per-kwh", "0.3", "--slo", "ttft_ms=400")
    said = cost(url, "reprice", "large-1", "--price", "36/h", *flags).stderr
    assert "duty_cycle 0.5, usd_per_kwh 0.3, ttft_ms ≤ 400  ← in force" in said


def test_a_dearer_mix_is_more_and_not_less(url: str) -> None:
    said = cost(url, "mix", "large-1", "small-1", "--share", "0.5").stdout
    # 0.155 ct alone, 0.1775 ct mixed.
    assert "15% more than the first alone" in said


def test_a_router_costs_in_sums_what_its_summary_says(url: str, sqlite_url: str) -> None:
    with closing(store.open(sqlite_url)) as database:
        answers = [answer(0, 100, 2 * MS), answer(1, 100, 2 * MS), answer(2, 100, None, route=1)]
        routes = (nouns.Route("large", nouns.Endpoint("http://l/v1", "model-l", name="l"), HOUR, ""),)
        put(database, "router-1", answers, CHEAP, routes=routes)
    (row,) = (row for row in document(url, "--by", "run")["costs"] if row["run"] == "router-1")
    (level,) = document(url, "show", "router-1")["levels"]
    # Two answers at 0.2 ct, and 0.32 s of a box at 1 ct a second.
    assert row["usd"] == level["usd"] == pytest.approx(0.004 + 0.0032)
    assert row["wasted_usd"] == 0


def test_answers_of_unknown_length_leave_no_price_of_a_token(sqlite_url: str) -> None:
    with closing(store.open(sqlite_url)) as database:
        put(database, "large-1", [answer(0, 300, None), answer(1, 300, None, output_tokens=None)], HOUR)
    (row,) = json.loads(cost(sqlite_url, "--json").stdout)["costs"]
    assert row["usd"] > 0
    assert (row["output_tokens"], row["usd_per_mtok_output"]) == (100, None)
