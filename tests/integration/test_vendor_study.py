"""Vendor comparisons: made-up slots as a report, and three real servers measured, interrupted and resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import vendor_data as made
from browser import FLAGS, opened
from typer.testing import CliRunner

import loadlab.store
from loadlab.cli.app import app
from loadlab.core.errors import NoDataError
from loadlab.drive.bundled import bundled_server
from loadlab.reports.vendor_report import vendor_report
from loadlab.store import Store

FILE = """
name = "demo"
days = 1
slots_per_day = 4
prompts = 2
max_gap = "{gap}"
reference = "pieces"
{more}
[workloads.chat]
max_tokens = 8
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with loadlab.store.open(f"sqlite:///{tmp_path_factory.mktemp('vendors')}/test.db") as store:
        made.fill(store, made.study())
        yield store


def test_the_slow_one_is_told_apart_and_the_alike_share_a_tier(store: Store) -> None:
    report = vendor_report(store, made.study())
    (workload,) = report.values["workloads"]
    assert workload["rankings"]["e2e_500_ms"]["tiers"] == [["alpha", "beta"], ["gamma"]]
    assert "tier 1: alpha, beta; tier 2: gamma" in report.markdown()
    pairs = {(pair["a"], pair["b"]): pair for pair in workload["rankings"]["e2e_500_ms"]["pairs"]}
    assert not pairs["alpha", "beta"]["told_apart"]
    assert pairs["alpha", "gamma"]["low"] > 1.5
    assert "not distinguishable" in report.markdown()


def test_refusals_count_in_the_availability_and_in_no_latency(store: Store) -> None:
    values = vendor_report(store, made.study()).values
    gamma = next(each for each in values["availability"] if each["vendor"] == "gamma")
    standing = values["workloads"][0]["vendors"][2]
    failed = standing["failures"]["http_429"]
    assert gamma["percent"] == pytest.approx(100 * (88 - failed) / 88)
    assert gamma["low"] < gamma["percent"] < gamma["high"]
    assert standing["measures"]["e2e_500_ms"]["p50"]["n"] == 80 - failed


def test_a_tokenizer_that_cuts_small_shows_in_ratio_and_effective_price(store: Store) -> None:
    alpha, beta, gamma = vendor_report(store, made.study()).values["workloads"][0]["vendors"]
    assert alpha["tokens"]["inflation"] == pytest.approx(1.0)
    assert beta["tokens"]["inflation"] == pytest.approx(1.3, rel=0.02)
    assert beta["usd"]["output"] < alpha["usd"]["output"]
    assert beta["usd"]["effective_output"] > alpha["usd"]["effective_output"]
    assert alpha["usd"]["list_3_1"] == pytest.approx((3 * 0.5 + 2.0) / 4)
    assert gamma["usd"]["list_3_1"] is None


def test_a_cold_connection_is_apart_and_a_p99_needs_its_samples(store: Store) -> None:
    alpha = vendor_report(store, made.study()).values["workloads"][0]["vendors"][0]
    assert (alpha["cold"]["n"], alpha["cold"]["connect_ms"], alpha["cold"]["reused_share"]) == (8, 40.0, 1.0)
    assert alpha["cold"]["ttft_ms"] > alpha["cold"]["warm_ttft_ms"]
    assert alpha["measures"]["e2e_500_ms"]["p99"]["value"] is None
    assert alpha["measures"]["e2e_500_ms"]["p95"]["value"] is not None


@pytest.mark.parametrize(
    "item",
    ["Dates (UTC)", "Region of the client", "Client", "Caching", "Retries", "Reference tokenizer",
     "Sponsor", "Terms of the vendors", "Longest gap in a block", "Model asked for", "Account and limits",
     "Quantisation", "Price", "Failures by kind", "Tokens/event"],
)  # fmt: skip
def test_every_export_discloses(store: Store, item: str) -> None:
    report = vendor_report(store, made.study())
    assert item in report.markdown()
    assert item in report.html()


def test_unchecked_terms_mark_the_report_and_block_nothing(store: Store) -> None:
    words = "Not for publication"
    assert words in vendor_report(store, made.study()).html()
    assert words not in vendor_report(store, made.study(publish_terms_checked=True)).html()


def test_few_slots_tell_nobody_apart(sqlite_url: str) -> None:
    with loadlab.store.open(sqlite_url) as store:
        with pytest.raises(NoDataError, match="no vendor comparison"):
            store.study("november")
        made.fill(store, made.study(), slots=3, failing=1.0)
        text = vendor_report(store, made.study()).markdown()
    assert "nobody can be told apart yet: 3 of at least 6 slots" in text
    assert "not measured" in text  # gamma refused everything


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_file_opens_without_a_request_or_a_warning(
    store: Store, chromium: str, tmp_path: Path, theme: str
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "vendors.html"
    file.write_text(vendor_report(store, made.study()).html(), encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        with opened(browser, file, theme) as (page, complaints):
            page.wait_for_function(
                "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"
            )
            assert page.locator(".plot").count() == 7
            assert page.evaluate("document.body.scrollWidth <= innerWidth")
            assert complaints == []
        browser.close()


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Three bundled servers, of which one is three times as slow."""
    with ExitStack() as running:
        yield {
            name: running.enter_context(
                bundled_server(["--engine", "sim", "--ttft", f"{ttft}ms", "--itl", "4ms"])
            ).url
            for name, ttft in {"alpha": 20, "beta": 20, "gamma": 60}.items()
        }


def written(folder: Path, servers: dict[str, str], gap: str = "600s", more: str = "") -> Path:
    file = folder / "vendors.toml"
    vendors = "".join(f'[vendors.{name}]\nurl = "{url}/v1"\n' for name, url in servers.items())
    file.write_text(FILE.format(gap=gap, more=more) + vendors, encoding="utf-8")
    return file


def command(*words: str, url: str) -> list[str]:
    return [sys.executable, "-m", "loadlab", "vendors", *words, "--db", url, "--json"]


@pytest.mark.timeout(300)
def test_real_servers_are_measured_by_turns_interrupted_and_resumed(
    servers: dict[str, str], tmp_path: Path, sqlite_url: str
) -> None:
    file = written(tmp_path, servers)
    plan = json.loads(subprocess.run(command("plan", str(file), url=sqlite_url), capture_output=True).stdout)
    assert (plan["requests"], plan["gap"]) == (36, None)

    asked = command("run", str(file), "--slots", "2", url=sqlite_url)
    with subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr
        assert any(": done" in line for line in run.stderr)  # reads as far as the first vendor
        run.send_signal(signal.SIGINT)
        run.communicate()
    assert run.returncode == 130
    before = _counted(sqlite_url)
    assert 1 <= len(before) < 6

    done = subprocess.run(
        command("run", str(file), "--slots", "2", url=sqlite_url), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["done"] == 2
    slots = _counted(sqlite_url)
    assert [each["run_id"] for each in slots[: len(before)]] == [each["run_id"] for each in before]
    assert [(each["slot"], each["position"]) for each in slots] == [
        (slot, at) for slot in (0, 1) for at in range(3)
    ]
    with loadlab.store.open(sqlite_url) as store:
        rows = store.vendor_requests("demo")
        report = vendor_report(store, made.Study.from_document(store.study("demo")))
    assert len(rows) == 18
    assert rows["reference_tokens"].notna().all()
    prompts = rows.groupby(["slot", "vendor"])["prompt_tokens"].apply(tuple)
    assert prompts[0, "alpha"] == prompts[0, "beta"]
    assert rows.groupby("vendor")["reused"].sum().to_dict() == {"alpha": 4, "beta": 4, "gamma": 4}
    medians = {each["vendor"]: each["measures"]["ttft_ms"]["p50"]["value"] for each in
               report.values["workloads"][0]["vendors"]}  # fmt: skip
    assert set(medians.values()) == {None}  # four warm answers are too few for a median, and none is shown
    ttft_ms = (rows["first_token_ns"] - rows["sent_ns"]).groupby(rows["vendor"]).median() / 1e6
    assert ttft_ms["gamma"] > ttft_ms["alpha"] + 20


def _counted(url: str) -> list[dict[str, Any]]:
    """Without what was cut off in the middle of its run."""
    return [each for each in _slots(url) if each["state"] != "stale"]


def _slots(url: str) -> list[dict[str, Any]]:
    with loadlab.store.open(url) as store:
        return [{str(key): row[key] for key in row} for row in store.vendor_slots("demo").to_dict("records")]


@pytest.mark.timeout(300)
def test_a_block_left_half_done_for_too_long_is_done_again_whole(
    servers: dict[str, str], tmp_path: Path, sqlite_url: str
) -> None:
    file = written(tmp_path, servers, gap="10ms")
    with loadlab.store.open(sqlite_url) as store:
        old = {"study": "demo", "slot": 0, "workload": "chat", "position": 0, "vendor": "alpha", "why": ""}
        store.add_vendor_slot(**old, state="done", began_at_ns=1, ended_at_ns=2, run_id=None)
    done = subprocess.run(
        command("run", str(file), "--slots", "now", url=sqlite_url), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "done again" in done.stderr
    assert [each["state"] for each in _slots(sqlite_url)] == ["stale", "done", "done", "done"]


@pytest.mark.timeout(300)
def test_a_cap_skips_the_vendor_and_says_so(servers: dict[str, str], tmp_path: Path, sqlite_url: str) -> None:
    file = written(tmp_path, servers)
    dear = 'price = "openai/gpt-4o"\nmax_usd = 0.0000001\n'
    text = file.read_text(encoding="utf-8").replace("[vendors.beta]\n", f"[vendors.beta]\n{dear}")
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        command("run", str(file), "--slots", "2", url=sqlite_url), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    beta = [each for each in _slots(sqlite_url) if each["vendor"] == "beta"]
    assert [each["state"] for each in beta] == ["done", "skipped"]
    assert "spending cap" in beta[1]["why"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["vendors", "run", "{file}", "--slots", "many"], "--slots 'many' is not understood"),
        (["vendors", "run", "nowhere.toml"], "does not exist"),
        (["vendors", "status", "nobody"], "no vendor comparison 'nobody'"),
        (["report", "vendor", "nobody"], "no vendor comparison 'nobody'"),
        (["report", "vendor", "{file}"], "no slot of 'demo' is done yet"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, sqlite_url: str, words: list[str], said: str) -> None:
    loadlab.store.open(sqlite_url).close()
    file = written(tmp_path, {"alpha": "http://127.0.0.1:9", "beta": "http://127.0.0.1:9"})
    given = [word.format(file=file) for word in words]
    done = CliRunner().invoke(app, [*given, "--db", sqlite_url])
    assert said in str(done.exception)


def test_results_measured_otherwise_are_not_mixed(tmp_path: Path, sqlite_url: str) -> None:
    file = written(tmp_path, {"alpha": "http://127.0.0.1:9", "beta": "http://127.0.0.1:9"})
    from loadlab.vendors import read

    with loadlab.store.open(sqlite_url) as store:
        store.define_study("demo", read(file).document())
        old = {"study": "demo", "slot": 0, "workload": "chat", "position": 0, "vendor": "alpha", "why": ""}
        store.add_vendor_slot(**old, state="done", began_at_ns=1, ended_at_ns=2, run_id=None)
    file.write_text(file.read_text(encoding="utf-8").replace("prompts = 2", "prompts = 3"), encoding="utf-8")
    done = CliRunner().invoke(app, ["vendors", "run", str(file), "--db", sqlite_url])
    assert "measured otherwise (prompts differ)" in str(done.exception)
