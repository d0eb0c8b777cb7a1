"""Reports opened from disk in a real browser: drawn in the reader's theme, nothing asked, no warning."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dashboard_data as made
import pytest
from browser import FLAGS, opened

import loadlab.store
from loadlab.figures.slo import Limit
from loadlab.reports.run_report import run_report
from loadlab.reports.sweep_report import sweep_report

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; make setup-dev")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 27, 30)"}
DRAWN = "[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))"


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    good, flawed = made.sweep("20261121-good"), made.sweep("20261120-flawed", failing=0.3, age_s=100)
    with loadlab.store.open(f"sqlite:///{folder}/test.db") as store:
        made.fill(store, good, flawed)
        reports = {
            "run": run_report(store, flawed.run.id),
            "sweep": sweep_report(store, [good.run.id, flawed.run.id], [Limit("ttft_ms_p95", 500.0)]),
        }
    written = {name: folder / f"{name}.html" for name in reports}
    for name, report in reports.items():
        written[name].write_text(report.html(), encoding="utf-8")
    return written


@pytest.mark.parametrize("theme", PAPER)
@pytest.mark.parametrize("name", ["run", "sweep"])
def test_charts_are_drawn_in_the_theme_of_the_reader(
    browser: playwright.Browser, files: dict[str, Path], name: str, theme: str
) -> None:
    with opened(browser, files[name], theme) as (page, complaints):
        page.wait_for_function(DRAWN)
        script = "found => found.map((svg) => getComputedStyle(svg).backgroundColor)"
        assert set(page.eval_on_selector_all(".main-svg:first-child", script)) == {PAPER[theme]}
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == PAPER[theme]
        assert page.evaluate("document.body.scrollWidth <= innerWidth")
        assert complaints == []


def test_a_picture_takes_the_footnote_along(browser: playwright.Browser, files: dict[str, Path]) -> None:
    with opened(browser, files["sweep"]) as (page, complaints):
        page.wait_for_function(DRAWN)
        page.evaluate("Plotly.downloadImage = (figure) => { window.taken = figure; }")
        page.locator("#interactivity").hover()
        page.locator("#interactivity .modebar-btn[data-title='Save as PNG']").click()
        assert "n = 5" in page.evaluate("taken.layout.annotations.at(-1).text")
        assert complaints == []


def test_a_picture_can_be_saved_from_disk(browser: playwright.Browser, files: dict[str, Path]) -> None:
    with opened(browser, files["sweep"], accept_downloads=True) as (page, complaints):
        page.wait_for_function(DRAWN)
        page.locator("#interactivity").hover()
        with page.expect_download() as download:
            page.locator("#interactivity .modebar-btn[data-title='Save as PNG']").click()
        assert Path(download.value.path()).read_bytes().startswith(b"\x89PNG")
        assert complaints == []


def test_paper_is_white_and_shows_the_rows(browser: playwright.Browser, files: dict[str, Path]) -> None:
    with opened(browser, files["run"], "dark") as (page, complaints):
        page.wait_for_function(DRAWN)
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == PAPER["light"]
        assert page.pdf().startswith(b"%PDF")
        assert complaints == []


def test_tables_and_words_need_no_script(browser: playwright.Browser, files: dict[str, Path]) -> None:
    with opened(browser, files["run"], java_script_enabled=False) as (page, complaints):
        page.get_by_text("This chart is drawn by JavaScript").first.wait_for()
        page.locator("summary").first.click()
        page.get_by_role("table", name="The run in bins of time").wait_for()
        assert complaints == []
