"""Takes the pictures of the documentation, in Chromium, of what `make demo` and one simulated GPU gave.

    make demo OPEN=0 && python scripts/pictures.py

Throughput against latency and one request come from the newest run of the demo, a real model; the planner's
page from a sweep over a simulated L4, made here (two minutes).
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from loadlab.drive.bundled import bundled_server

ROOT = Path(__file__).resolve().parent.parent
PICTURES = ROOT / "docs/images"
LOADLAB = Path(sys.executable).with_name("loadlab")
DEMO, PLANNED = "sqlite:///.loadlab/demo.db", "sqlite:///.loadlab/pictures.db"
SWEEP = [
    "--rate",
    "1,2,3,4,5,6,7,8",
    "--duration",
    "30s",
    "--max-tokens",
    "128",
    "--exact-length",
    "--fresh-prompts",
]


def main() -> None:
    """Serves each store's dashboard for as long as its pictures take."""
    sweep()
    photograph(DEMO, {"tradeoff": tradeoff, "request": request})
    photograph(PLANNED, {"capacity": capacity})


def sweep() -> None:
    """What the planner's page needs: rates up to what a simulated L4 can do with an 8B model."""
    with bundled_server(["--engine", "sim", "--hardware", "l4"]) as server:
        to = [
            "--url",
            f"{server.url}/v1",
            "--price",
            "l4-hour",
            "--db",
            PLANNED,
            "--slo",
            "ttft_ms=500,tpot_ms=100",
        ]
        subprocess.run([LOADLAB, "sweep", "chat", *to, *SWEEP], cwd=ROOT, check=True)


def photograph(store: str, pictures: dict[str, Callable[[Page], None]]) -> None:
    """Opens the dashboard of a store; each function brings its page to what is to be seen."""
    command = [str(LOADLAB), "dash", "--db", store, "--port", "0", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as dashboard:
        assert dashboard.stdout is not None
        try:
            url = json.loads(dashboard.stdout.readline())["url"]
            for name, prepare in pictures.items():
                take(url, PICTURES / f"{name}.png", prepare)
        finally:
            dashboard.terminate()


def take(url: str, picture: Path, prepare: Callable[[Page], None]) -> None:
    """One page, once its figures are drawn."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(url)
        prepare(page)
        page.wait_for_selector(".js-plotly-plot .main-svg", state="attached")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(500)
        picture.parent.mkdir(exist_ok=True)
        page.screenshot(path=picture)
        browser.close()


def tradeoff(page: Page) -> None:
    """Of the newest run with several levels."""
    page.goto(f"{page.url}tradeoff")


def request(page: Page) -> None:
    """The slowest request of the newest run, token by token."""
    page.goto(f"{page.url}run/latest?tab=requests&sort=-ttft")
    page.locator("main table a[href*='/request/']").first.click()


def capacity(page: Page) -> None:
    """How many replicas the example day takes."""
    page.goto(f"{page.url}capacity?peak=60&slo=ttft_ms.p95%3D500")


if __name__ == "__main__":
    main()
