"""The dashboard in a real browser: both themes, full and empty, a quiet console, nothing from outside."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dashboard_data as made
import pytest

import loadlab.store

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed; make setup-dev")

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

GOOD, FLAWED, FAILED = "20261121-091502-a1b2", "20261120-171044-c3d4", "20261119-120010-e5f6"
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAPER = {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 27, 30)"}


@dataclass
class Visit:
    """A page of the dashboard and all that the browser complained about or asked of other hosts."""

    page: playwright.Page
    home: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", lambda message: self._heard(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        self.page.on("request", lambda request: self._asked(request.url))

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("warning", "error"):
            self.complaints.append(f"{kind}: {text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((self.home, "data:", "blob:")):
            self.complaints.append(f"asked {url}")

    def go(self, path: str, heading: str) -> None:
        """Opens a path and waits for its heading and its figures."""
        self.page.goto(self.home + path)
        self.settled(heading)

    def settled(self, heading: str) -> None:
        self.page.get_by_role("heading", level=1, name=heading).wait_for()
        self.until(
            "[...document.querySelectorAll('.dash-graph')].every((graph) => graph.querySelector('.main-svg'))"
        )

    def until(self, expression: str) -> None:
        """Waits for it to be true. Playwright's own wait needs `eval`, which the pages' policy forbids."""
        for _ in range(400):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {expression}")

    def paper(self) -> set[str]:
        """The background colours of all figures on the page."""
        script = "found => found.map((svg) => getComputedStyle(svg).backgroundColor)"
        return set(self.page.eval_on_selector_all(".main-svg:first-child", script))


def serve(url: str, *options: str) -> Iterator[str]:
    """`loadlab dash` as users start it."""
    command = [sys.executable, "-c", "from loadlab.cli import main; main()", "dash", "--port", "0", "--json"]
    with subprocess.Popen([*command, "--db", url, *options], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"].rstrip("/")
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def full_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('full')}/runs.db"
    with loadlab.store.open(url) as store:
        made.fill(
            store,
            made.sweep(GOOD),
            made.sweep(FLAWED, slower=1.8, failing=0.12, age_s=60, priced=False),
            made.sweep(FAILED, users=(4,), failing=1.0, age_s=120),
        )
    return url


@pytest.fixture(scope="module")
def full(full_url: str) -> Iterator[str]:
    yield from serve(full_url)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serve(f"sqlite:///{tmp_path_factory.mktemp('empty')}/runs.db")


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


Visitor = Callable[..., Visit]


@pytest.fixture
def visit(browser: playwright.Browser) -> Iterator[Visitor]:
    """Opens a visit of its own: `visit(home, theme, width)`, downloads accepted, the clipboard allowed."""
    contexts = []

    def opened(home: str, theme: str = "light", width: int = 1280) -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme))
        contexts[-1].grant_permissions(["clipboard-read", "clipboard-write"])
        return Visit(contexts[-1].new_page(), home)

    yield opened
    for context in contexts:
        context.close()


PAGES = [
    ("/", "Overview"),
    ("/live", "Live"),
    ("/tradeoff", "Throughput vs latency"),
    ("/regressions", "Regressions"),
    (f"/tradeoff?runs={GOOD},{FLAWED},{FAILED}&x=interactivity_tok_s", "Throughput vs latency"),
    (f"/capacity?runs={GOOD}&peak=40&unit=req/s&api=openai/gpt-5-mini", "Capacity planner"),
    (f"/capacity?runs={FAILED}", "Capacity planner"),
    (f"/run/{GOOD}", f"Run {GOOD}"),
    (f"/run/{FLAWED}?tab=time", f"Run {FLAWED}"),
    (f"/run/{FLAWED}?tab=errors", f"Run {FLAWED}"),
    (f"/run/{GOOD}?tab=distributions", f"Run {GOOD}"),
    (f"/run/{GOOD}?tab=requests", f"Run {GOOD}"),
    (f"/run/{GOOD}?tab=hardware", f"Run {GOOD}"),
    (f"/run/{GOOD}/request/0-200", "Request 0-200"),
    (f"/run/{FAILED}", f"Run {FAILED}"),
]
AXE = Path(__file__).resolve().parents[2] / ".loadlab" / "axe.min.js"
LOOK = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.id}: ${found.nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`)"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("path", "heading"), PAGES)
def test_page_is_quiet_and_fits(
    visit: Visitor, full: str, path: str, heading: str, theme: str, tmp_path: Path
) -> None:
    seen = visit(full, theme, width=1024)
    seen.go(path, heading)
    assert seen.page.title() == f"{heading} · loadlab"
    assert seen.page.get_by_role("heading", level=1).count() == 1
    assert seen.paper() <= {PAPER[theme]}
    wide = seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    seen.page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert seen.complaints == []


OTHERS = [
    (f"/compare?runs={GOOD},{FLAWED}", "Compare", "light"),
    ("/cost?w=all", "Cost", "dark"),
    (f"/hardware?run={GOOD}", "Hardware", "dark"),
    ("/runs", "Runs", "light"),
    ("/settings", "Settings", "dark"),
    ("/glossary", "Glossary", "light"),
]


@pytest.mark.parametrize(("path", "heading", "theme"), OTHERS)
def test_other_page_is_quiet_and_fits(visit: Visitor, full: str, path: str, heading: str, theme: str) -> None:
    seen = visit(full, theme, width=1024)
    seen.go(path, heading)
    assert seen.paper() <= {PAPER[theme]}
    wide = seen.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0
    assert seen.complaints == []


def test_runs_are_picked_and_compared(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/runs", "Runs")
    for run in (GOOD, FLAWED):
        seen.page.get_by_title(f"Pick {run}", exact=True).click()
        seen.page.get_by_title(f"Unpick {run}").wait_for()
    seen.page.get_by_role("link", name="Compare 2 runs").click()
    seen.settled("Compare")
    seen.page.wait_for_url(f"**/compare?runs={GOOD},{FLAWED}")
    seen.page.get_by_role("link", name="8 users").click()
    seen.page.wait_for_url("**load=8+users**")
    seen.settled("Compare")
    assert seen.complaints == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/tradeoff", "/capacity"])
def test_empty_store_says_what_fills_it(visit: Visitor, empty: str, path: str, theme: str) -> None:
    seen = visit(empty, theme)
    seen.page.goto(empty + path)
    seen.page.get_by_text("make demo").wait_for()
    assert seen.complaints == []


@pytest.mark.skipif(
    not AXE.exists(), reason="axe-core is not there: npm and scripts/install_browser.sh fetch it"
)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_keeps_anybody_out(visit: Visitor, full: str, theme: str) -> None:
    seen = visit(full, theme)
    found = {}
    for path, heading in [*PAGES, ("/nope", "No such page")]:
        seen.go(path, heading)
        seen.page.evaluate(AXE.read_text(encoding="utf-8"))
        if problems := seen.page.evaluate(LOOK):
            found[path] = problems
    assert found == {}


@pytest.mark.parametrize("width", [360, 767, 1024, 1920])
def test_pages_fit_the_window(visit: Visitor, full: str, width: int) -> None:
    seen = visit(full, width=width)
    for path, heading in (
        ("/", "Overview"),
        (f"/run/{GOOD}", f"Run {GOOD}"),
        ("/tradeoff", "Throughput vs latency"),
    ):
        seen.go(path, heading)
        wide = seen.page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide == 0, path
    if width < 768:
        assert not seen.page.get_by_role("navigation", name="Pages", exact=True).is_visible()
        seen.page.get_by_role("button", name="Pages").click()
    seen.page.get_by_role("navigation", name="Pages", exact=True).get_by_role("link", name="Overview").click()
    seen.settled("Overview")
    assert seen.complaints == []


def test_figures_are_saved_with_their_footnote_and_all_rows(
    visit: Visitor, full: str, tmp_path: Path
) -> None:
    seen = visit(full)
    seen.go(f"/run/{GOOD}?tab=distributions", f"Run {GOOD}")
    with seen.page.expect_download() as started:
        seen.page.get_by_role("button", name="PNG of figure distribution").click()
    picture = tmp_path / "figure.png"
    started.value.save_as(picture)
    header = picture.read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    drawn = seen.page.evaluate("document.querySelector('.js-plotly-plot').clientHeight")
    assert int.from_bytes(header[20:24]) > 2 * drawn  # twice the pixels, and the footnote below
    with seen.page.expect_download() as started:
        seen.page.get_by_role("button", name="CSV of figure distribution").click()
    started.value.save_as(tmp_path / "figure.csv")
    lines = (tmp_path / "figure.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "load,ttft_ms"
    assert len(lines) == 1 + 288
    assert seen.complaints == []


def test_a_saved_page_opens_from_a_file(visit: Visitor, full: str, tmp_path: Path) -> None:
    seen = visit(full)
    seen.go(f"/run/{FLAWED}?tab=time", f"Run {FLAWED}")
    with seen.page.expect_download() as started:
        seen.page.get_by_role("button", name="Save page").click()
    saved = tmp_path / started.value.suggested_filename
    started.value.save_as(saved)
    offline = visit("file://")
    offline.page.goto(saved.as_uri())
    offline.page.get_by_role("heading", level=1, name=f"Run {FLAWED}").wait_for()
    offline.until("document.querySelectorAll('.main-svg').length >= 2")
    assert "tab=time" in offline.page.locator("footer").inner_text()
    assert offline.page.locator("tr").count() > 10  # the tables under the figures are folded
    assert offline.complaints == []


def test_keyboard_alone(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/", "Overview")
    seen.page.keyboard.press("?")
    seen.page.get_by_role("dialog").get_by_text("Copy the link to this view").wait_for()
    seen.page.keyboard.press("Escape")
    seen.page.keyboard.press("g")
    seen.page.keyboard.press("t")
    seen.settled("Throughput vs latency")
    seen.page.keyboard.press("t")
    seen.until("document.documentElement.dataset.mantineColorScheme === 'dark'")
    seen.page.keyboard.press("c")
    seen.page.get_by_role("status").get_by_text("is copied").wait_for()
    assert seen.page.evaluate("navigator.clipboard.readText()") == seen.page.url
    assert seen.complaints == []


def test_below_a_prefix_links_and_pages_work(visit: Visitor, full_url: str) -> None:
    for home in serve(full_url, "--prefix", "/bench/loadlab/"):
        seen = visit(home)
        seen.go("/", "Overview")
        seen.page.locator(f'td a[href="/bench/loadlab/run/{GOOD}"]').first.click()
        seen.settled(f"Run {GOOD}")
        assert "/bench/loadlab/run/" in seen.page.url
        seen.page.reload()
        seen.settled(f"Run {GOOD}")
        assert seen.complaints == []


def test_login_in_a_browser(visit: Visitor, full_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASH_SECRET", "a-secret-for-this-test")
    for home in serve(full_url, "--token-env", "DASH_SECRET"):
        seen = visit(home)
        seen.page.goto(f"{home}/tradeoff?x=users")
        seen.page.get_by_label("Secret of this dashboard").fill("a-secret-for-this-test")
        seen.page.get_by_role("button", name="Log in").click()
        seen.settled("Throughput vs latency")
        assert seen.page.url == f"{home}/tradeoff?x=users"
        assert seen.page.evaluate("document.cookie") == ""
        seen.page.get_by_role("link", name="Log out").click()
        seen.page.get_by_label("Secret of this dashboard").wait_for()
        assert seen.complaints == []


def test_theme_switch_reaches_figures_and_is_kept(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/tradeoff", "Throughput vs latency")
    seen.page.get_by_role("button", name="Dark theme").click()
    seen.until("getComputedStyle(document.querySelector('.main-svg')).backgroundColor === 'rgb(26, 27, 30)'")
    seen.page.reload()
    seen.settled("Throughput vs latency")
    assert seen.paper() == {PAPER["dark"]}
    assert seen.complaints == []


def test_controls_write_the_url_and_the_url_sets_the_controls(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/tradeoff", "Throughput vs latency")
    seen.page.get_by_label("SLO: TTFT p95 ≤").fill("100")
    seen.page.get_by_text("holds TTFT p95 ≤ 100 ms up to").first.wait_for()
    seen.page.wait_for_url("**slo=ttft_ms_p95:100**")
    assert seen.page.get_by_label("SLO: TTFT p95 ≤").evaluate("field => field === document.activeElement")
    again = visit(full)
    again.go(seen.page.url.removeprefix(full), "Throughput vs latency")
    assert again.page.get_by_label("SLO: TTFT p95 ≤").input_value() == "100 ms"
    assert again.page.locator(".answer").inner_text() == seen.page.locator(".answer").inner_text()
    assert seen.complaints + again.complaints == []


def test_back_button_brings_back_the_controls(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/tradeoff?slo=ttft_ms_p95:700", "Throughput vs latency")
    seen.page.get_by_label("SLO: TTFT p95 ≤").fill("90")
    seen.page.wait_for_url("**slo=ttft_ms_p95:90**")
    seen.page.go_back()
    seen.page.get_by_text("TTFT p95 ≤ 700 ms").first.wait_for()
    assert seen.page.get_by_label("SLO: TTFT p95 ≤").input_value() == "700 ms"
    assert seen.complaints == []


def test_from_the_list_to_a_run_and_a_level(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/", "Overview")
    seen.page.locator(f'td a[href="/run/{FLAWED}"]').click()
    seen.settled(f"Run {FLAWED}")
    seen.page.get_by_role("link", name="16 users").click()
    seen.page.get_by_role("region", name="Percentiles at 16 users").wait_for()
    seen.page.get_by_role("link", name="Distributions").click()
    seen.page.get_by_role("link", name="ITL").click()
    seen.page.get_by_text("Inter-token latency (ms), lower is better").wait_for()
    seen.page.wait_for_url("**tab=distributions&level=4&metric=itl_ms")
    assert seen.complaints == []


def test_from_the_slowest_request_to_its_timeline(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go(f"/run/{GOOD}?tab=requests", f"Run {GOOD}")
    seen.page.get_by_role("link", name="TTFT", exact=True).click()
    seen.page.wait_for_url("**sort=-ttft")
    seen.page.get_by_role("region", name="Requests").get_by_role("row").nth(1).get_by_role("link").click()
    seen.page.wait_for_url("**/request/0-*")
    seen.settled("Request 0-")
    assert seen.complaints == []


def test_data_table_opens_by_keyboard(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/tradeoff", "Throughput vs latency")
    seen.page.get_by_text("Data table").first.focus()
    seen.page.keyboard.press("Enter")
    rows = seen.page.get_by_role("region", name="Every measured level").first.get_by_role("row")
    assert rows.count() == 7
    assert seen.complaints == []


def test_figure_tells_its_finding(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go("/tradeoff", "Throughput vs latency")
    told = seen.page.locator("figure[aria-label]").first.get_attribute("aria-label")
    assert told is not None
    assert "6 levels, Time to first token p95" in told


def test_unknown_address_has_a_page(visit: Visitor, full: str) -> None:
    seen = visit(full)
    response = seen.page.goto(f"{full}/nope")
    assert response is not None
    assert response.status == 404
    seen.page.get_by_role("heading", name="No such page").wait_for()
    seen.page.get_by_role("link", name="All runs").click()
    seen.settled("Overview")


def test_a_what_if_is_answered_and_lies_in_the_url(visit: Visitor, full: str) -> None:
    seen = visit(full)
    seen.go(f"/capacity?runs={GOOD}&peak=40&unit=req/s", "Capacity planner")
    before = seen.page.locator(".answer").inner_text()
    seen.page.get_by_label("Spare replicas").fill("5")
    seen.until("location.search.includes('spare=5')")
    seen.until(f"document.querySelector('.answer').innerText !== {json.dumps(before)}")
    after = seen.page.locator(".answer").inner_text()
    assert int(after.split()[0]) == int(before.split()[0]) + 4
    seen.page.reload()
    seen.settled("Capacity planner")
    assert seen.page.locator(".answer").inner_text() == after
    seen.page.locator("#capacity-slo").fill("ttft_ms.p95=10")
    seen.page.get_by_text("does not hold the SLO at the lightest").wait_for()
    assert seen.complaints == []
