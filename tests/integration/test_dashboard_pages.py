"""The dashboard's pages as functions and over Flask's test client, on a real SQLite store."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dashboard_data as made
import pytest
from dash import Dash

import dashboard
import loadlab.store
from dashboard.app import render
from dashboard.choice import SHOWN, Choice
from dashboard.source import Source
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Reading
from loadlab.figures import MAX_SERIES, Limit
from loadlab.store import Store

GOOD, SLOW, FAILED, SINGLE = (
    "20261121-091502-a1b2",
    "20261120-171044-c3d4",
    "20261117-120100-fa11",
    "20261118-1-one",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard')}/runs.db"
    with loadlab.store.open(url) as opened:
        made.fill(
            opened,
            made.sweep(GOOD),
            made.sweep(SLOW, slower=1.8, age_s=60, priced=False, model="other-7b"),
            made.sweep(SINGLE, users=(8,), age_s=120),
            made.sweep(FAILED, users=(4,), failing=1.0, age_s=180),
        )
        yield opened


@pytest.fixture(scope="module")
def source(store: Store) -> Source:
    return Source(store)


@pytest.fixture
def empty_store(sqlite_url: str) -> Iterator[Store]:
    with loadlab.store.open(sqlite_url) as opened:
        yield opened


def at(source: Source, path: str, search: str = "", theme: str = "light") -> str:
    """The page as the JSON that the browser gets."""
    return json.dumps(render(source, {"path": path, "search": search, "theme": theme}), cls=Plotly)


class Plotly(json.JSONEncoder):
    def default(self, value: Any) -> Any:
        return value.to_plotly_json() if hasattr(value, "to_plotly_json") else str(value)


def callback(app: Dash, output: str) -> Any:
    """The function of the callback whose outputs begin with `output`, without dash around it."""
    found = next(each for name, each in app.callback_map.items() if name.startswith(output))
    return found["callback"].__wrapped__


def test_overview_answers_in_one_sentence(source: Source) -> None:
    text = at(source, "/")
    assert "smollm2-135m on 127.0.0.1:8000 holds TTFT p95 ≤ 500 ms up to 8 users" in json.loads(
        f'"{_plain(text)}"'
    )
    assert "$0.0" in text


def _plain(text: str) -> str:
    return text.replace('\\"', "'").replace('"', "'")


@pytest.mark.parametrize("run", [GOOD, SLOW, SINGLE, FAILED])
def test_overview_lists_every_run_with_a_link(source: Source, run: str) -> None:
    assert f'"href": "/run/{run}"' in at(source, "/")


def test_overview_marks_verdicts_by_icon_and_word(source: Source) -> None:
    text = at(source, "/").encode().decode("unicode_escape", errors="ignore")
    assert "✓ VALID" in text
    assert "✕ INVALID" in text


def test_overview_of_an_empty_store_names_the_commands(empty_store: Store) -> None:
    text = at(Source(empty_store), "/")
    assert "make demo" in text
    assert f"--requests 96 --db {empty_store.info()['url']}" in text


def test_tradeoff_of_an_empty_store_names_the_commands(empty_store: Store) -> None:
    assert "loadlab sweep chat" in at(Source(empty_store), "/tradeoff")


def test_tradeoff_takes_the_newest_sweep_by_default(source: Source) -> None:
    text = at(source, "/tradeoff")
    assert "figure-tradeoff" in text
    assert f'"value": ["{GOOD}"]' in text


def test_tradeoff_compares_runs_given_by_prefix(source: Source) -> None:
    text = at(source, "/tradeoff", "?runs=20261121,20261120")
    assert f'"value": ["{GOOD}", "{SLOW}"]' in text
    assert "unpriced: no price named" in text


def test_tradeoff_of_one_level_suggests_a_sweep(source: Source) -> None:
    text = at(source, "/tradeoff", f"?runs={SINGLE}")
    assert "figure-tradeoff" in text
    assert "One level is a point" in text


def test_tradeoff_of_a_failed_run_says_so(source: Source) -> None:
    text = at(source, "/tradeoff", f"?runs={FAILED}")
    assert "nothing succeeded" in text
    assert "does not hold" in text


def test_tradeoff_of_more_runs_than_colours_draws_six(source: Source, store: Store) -> None:
    ids = [f"many-{n}" for n in range(8)]
    made.fill(store, *(made.sweep(run, users=(2,), requests=3, age_s=9_000) for run in ids))
    text = at(source, "/tradeoff", f"?runs={','.join(ids)}")
    assert "2 more runs are asked for" in text
    assert text.count('"type": "Graph"') == 2


def test_theme_reaches_the_figures(source: Source) -> None:
    light, dark = (at(source, "/tradeoff", theme=theme) for theme in ("light", "dark"))
    assert '"paper_bgcolor": "#FFFFFF"' in light
    assert '"paper_bgcolor": "#1A1B1E"' in dark


@pytest.mark.parametrize("search", ["?slo=abc", "?x=nonsense", "?runs=unknown"])
def test_parameters_that_mean_nothing_get_a_page(source: Source, search: str) -> None:
    text = at(source, "/tradeoff", search)
    assert "This page cannot be shown" in text
    assert '"href": "/tradeoff"' in text


PARTS = {
    "": ["Measured levels", "Percentiles at 8 users", "Time to first token from plan"],
    "?tab=time": ["figure-over-time", "figure-density", "No wait between two pieces"],
    "?tab=distributions": ["figure-distribution", "Share of samples"],
    "?tab=distributions&as=histogram&metric=itl_ms": ["Inter-token latency (ms), lower is better"],
    "?tab=errors": ["No request failed: 288 of 288 succeeded.", "Requests by HTTP status"],
    "?tab=requests": ["1 to 100 of 288", f"/run/{GOOD}/request/0-0", "page 1 of 3"],
    "?tab=hardware": ["figure-hardware", "What GPUs and server did at each level", "KV cache, fullest"],
    "?tab=setting": ["two cores rented by the hour"],
    "?tab=nonsense": ["Measured levels"],
}


@pytest.mark.parametrize(("search", "said"), PARTS.items())
def test_run_page_shows_its_parts(source: Source, search: str, said: list[str]) -> None:
    text = at(source, f"/run/{GOOD}", search)
    assert [words for words in said if words not in text] == []
    assert text.count('"type": "Figure"') == text.count('"type": "Graph"')


def test_run_page_of_a_failed_run_shows_kinds_and_examples(source: Source) -> None:
    text = at(source, f"/run/{FAILED}", "?tab=errors")
    assert "48 of 48 requests failed." in text
    assert "503 Service Unavailable: queue is full" in text
    assert "no answer" in text
    assert "no successful request has it" in at(source, f"/run/{FAILED}", "?tab=distributions")
    assert "No successful request has a first token" in at(source, f"/run/{FAILED}", "?tab=time")
    assert "48 requests" in at(source, f"/run/{FAILED}")


def test_percentiles_have_intervals(source: Source) -> None:
    text = at(source, f"/run/{GOOD}", "?level=0").encode().decode("unicode_escape")
    assert "Percentiles at 1 user" in text
    assert re.search(r"\d+\.?\d* – \d+", text)


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ("&of=2", "1 to 48 of 48"),
        ("&end=failed", "No request matches."),
        ("&end=200&page=2", "101 to 200 of 288"),
        ("&end=503", "No request matches."),
        ("&sort=-ttft", "TTFT ↓"),
        ("&page=99", "No request matches."),
        ("&page=abc&sort=nonsense&of=x", "1 to 100 of 288"),
    ],
)
def test_requests_are_filtered_by_the_url(source: Source, search: str, said: str) -> None:
    assert said in at(source, f"/run/{GOOD}", f"?tab=requests{search}").encode().decode("unicode_escape")


def test_slow_requests_are_those_above_the_highest_p99(source: Source) -> None:
    text = at(source, f"/run/{SLOW}", "?tab=requests&slow=p99&sort=-ttft")
    slowest = max(level.metrics["ttft_ms"]["p99"] or 0 for level in source.summary(SLOW).levels)
    rows = source.store.requests(SLOW)
    above = int(((rows["first_token_ns"] - rows["sent_ns"]) / 1e6 > slowest).sum())
    assert (f"1 to {above} of {above}" in text) if above else ("No request matches." in text)


def test_one_request_has_a_page_of_its_own(source: Source) -> None:
    text = at(source, f"/run/{GOOD}/request/0-7")
    assert "figure-request" in text
    assert "Timeline of one request" in text
    assert "no stall" in text


def test_a_failed_request_says_how_it_ended(source: Source) -> None:
    text = at(source, f"/run/{FAILED}/request/0-0")
    assert "Ended as 503 http_status" in text
    assert "queue is full" in text


@pytest.mark.parametrize("name", ["0-99999", "zero", "0-", "1-2-3", "0-1e5"])
def test_a_request_that_is_none_has_a_page(source: Source, store: Store, name: str) -> None:
    assert "This page cannot be shown" in at(source, f"/run/{GOOD}/request/{name}")
    client = dashboard.create_app(store).server.test_client()
    assert client.get(f"/run/{GOOD}/request/{name}").status_code == 404
    assert client.get(f"/run/{GOOD}/request/0-7").status_code == 200


def test_unknown_run_offers_the_ones_there_are(source: Source) -> None:
    text = at(source, "/run/nothing")
    assert "No such run" in text
    assert f'"href": "/run/{GOOD}"' in text


def test_run_that_only_began_has_a_page(empty_store: Store) -> None:
    empty_store.begin_run(dataclasses.replace(made.sweep("just-begun").run, price=None))
    text = at(Source(empty_store), "/run/just-begun")
    assert "No level of this run has begun" in text
    assert "watch it live" in text
    for tab, said in {
        "time": "No request was recorded", "errors": "No request was sent.",
        "requests": "No request of this run",
        "distributions": "was not measured", "hardware": "No reading was stored",
    }.items():  # fmt: skip
        assert said in at(Source(empty_store), "/run/just-begun", f"?tab={tab}")
    assert "just-begun" in at(Source(empty_store), "/")
    assert "has no measured level yet" in at(Source(empty_store), "/tradeoff", "?runs=just-begun")


def test_choice_survives_the_url() -> None:
    choice = Choice(("a", "b"), "interactivity_tok_s", "requests_per_s", (Limit("itl_ms_p95", 40.0),))
    assert Choice.read(dict(pair.split("=") for pair in choice.search[1:].split("&"))) == choice
    assert Choice.read({"slo": "none"}).limits == ()
    with pytest.raises(UsageError):
        Choice.read({"slo": "ttft_ms_p95:fast"})


def test_choice_of_how_it_is_drawn_survives_the_url() -> None:
    choice = Choice(("a",), scale="log", hidden=frozenset(SHOWN))
    assert choice.search.endswith("scale=log&hide=dominated,intervals")
    assert Choice.read(dict(pair.split("=") for pair in choice.search[1:].split("&"))) == choice


def test_percentile_is_that_of_axis_and_limits_together() -> None:
    choice = Choice(("a",)).changed(["a"], "ttft_ms", "goodput_per_s", (300, 40), "p99", "log", ["intervals"])
    assert (choice.x, choice.y, choice.stat) == ("ttft_ms_p99", "goodput_per_s", "p99")
    assert choice.limits == (Limit("ttft_ms_p99", 300.0), Limit("itl_ms_p99", 40.0))
    assert choice.hidden == {"dominated"}
    assert (choice.limit("ttft_ms"), choice.limit("itl_ms")) == (300.0, 40.0)


def test_tradeoff_draws_goodput_and_intervals(source: Source) -> None:
    text = at(source, "/tradeoff", "?y=goodput_per_s&x=ttft_ms_p50")
    assert "Goodput counts requests that succeeded with TTFT" in text
    assert '"arrayminus"' in text
    assert '"arrayminus"' not in at(source, "/tradeoff", "?x=ttft_ms_p50&hide=intervals")


def test_output_per_gpu_needs_gpus_and_says_how_to_tell_them(source: Source) -> None:
    assert "a label of the target says how many" in at(source, "/tradeoff", "?y=output_tokens_per_s_per_gpu")


def test_three_hundred_runs_are_counted_and_six_drawn(source: Source, store: Store) -> None:
    ids = [f"crowd-{n}" for n in range(MAX_SERIES)]
    made.fill(store, *(made.sweep(run, users=(2,), requests=3, age_s=9_000) for run in ids))
    text = at(source, "/tradeoff", f"?runs={','.join([*ids, *(f'r{n}' for n in range(294))])}")
    assert "294 more runs are asked for" in text
    assert '"href": "/runs"' in text


def test_changed_control_keeps_limits_that_have_none() -> None:
    choice = Choice(("a",), limits=(Limit("ttft_ms_p95", 500.0), Limit("e2e_ms_p95", 9_000.0)))
    changed = choice.changed(["a"], choice.x, choice.y, (-5, 40))
    assert changed.limits == (Limit("itl_ms_p95", 40.0), Limit("e2e_ms_p95", 9_000.0))


def test_control_redraws_and_writes_the_url(store: Store) -> None:
    redraw = callback(dashboard.create_app(store), "..tradeoff-content")
    shown = {"path": "/tradeoff", "search": "", "theme": "dark"}
    content, search, drawn = redraw(
        [GOOD], "interactivity_tok_s", "requests_per_s", 300, "", "p95", "auto", list(SHOWN), shown
    )
    assert search == f"?runs={GOOD}&slo=ttft_ms_p95:300&x=interactivity_tok_s&y=requests_per_s"
    assert drawn == {**shown, "search": search}
    assert "Requests (1/s), higher is better" in json.dumps(content, cls=Plotly)


def test_controls_just_laid_out_redraw_nothing(store: Store) -> None:
    redraw = callback(dashboard.create_app(store), "..tradeoff-content")
    shown = {"path": "/tradeoff", "search": "", "theme": "light"}
    content, search, _ = redraw(
        [GOOD], "ttft_ms", "output_tokens_per_s", 500, "", "p95", "auto", list(SHOWN), shown
    )
    assert type(content).__name__ == type(search).__name__ == "NoUpdate"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/tradeoff", 200),
        (f"/run/{GOOD}", 200),
        ("/run/nothing", 404),
        ("/nope", 404),
        ("/metrics", 404),
    ],
)
def test_addresses_that_are_no_page_are_404(store: Store, path: str, status: int) -> None:
    response = dashboard.create_app(store).server.test_client().get(path)
    assert response.status_code == status
    assert response.headers["X-Frame-Options"] == "DENY"
    assert b'<html lang="en">' in response.data


def test_health_is_that_of_the_store(tmp_path: Path) -> None:
    with loadlab.store.open(f"sqlite:///{tmp_path}/runs.db") as store:
        client = dashboard.create_app(store).server.test_client()
        assert client.get("/healthz").get_json() == {"status": "ok"}
        with store._database.begin() as connection:
            connection.exec_driver_sql("DROP TABLE request")
        broken = client.get("/healthz")
    assert broken.status_code == 503
    assert broken.get_json()["status"] == "error"


def test_energy_per_token_is_a_column_where_power_was_read(sqlite_url: str) -> None:
    run = made.sweep("20261121-gpu-watt", users=(4,))
    start, end = min(each.planned_ns for each in run.results), max(each.done_ns or 0 for each in run.results)
    for at_ns in range(start - made.NS, end + made.NS, made.NS // 10):
        run.readings.append(Reading(at_ns, "nvml", "gpu0", "power_w", 300.0))
    with loadlab.store.open(sqlite_url) as opened:
        made.fill(opened, run)
        shown = at(Source(opened), "/run/20261121-gpu-watt", "?tab=hardware")
    assert "Energy per output token" in shown
    assert "300 W" in shown
