"""Takes the README's picture: the throughput-versus-latency page of the newest run of the demo, in Chromium.

make demo OPEN=0 && python scripts/picture.py
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/images/tradeoff.png"
DASH = ["dash", "--db", "sqlite:///.loadlab/demo.db", "--port", "0", "--json"]


def main() -> None:
    """Serves the dashboard for as long as the picture takes."""
    loadlab = Path(sys.executable).with_name("loadlab")
    with subprocess.Popen([loadlab, *DASH], cwd=ROOT, stdout=subprocess.PIPE, text=True) as dashboard:
        assert dashboard.stdout is not None
        try:
            take(json.loads(dashboard.stdout.readline())["url"])
        finally:
            dashboard.terminate()


def take(url: str) -> None:
    """Opens the page, waits for its figures, writes the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(url)
        page.get_by_role("link", name="Throughput vs latency").last.click()  # the newest run's own
        page.wait_for_selector(".js-plotly-plot .main-svg", state="attached")
        page.wait_for_load_state("networkidle")
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
