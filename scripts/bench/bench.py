"""`make bench`: how wrong and how costly the stopwatch is, beside the same load through other clients.

All of it runs on this machine in one go: the simulated server (first token after 50 ms, then one every 10 ms,
100 tokens) and the client share its cores. The truth is the server's own ledger of the same requests; error
is the client's quantile minus the ledger's. Prints Markdown; --quick leaves out 1,000 streams and the peers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from loadlab import store

HERE = Path(__file__).parent
TOKENS, ROUNDS = 100, 3
_PATIENCE_S = 120
LOADLAB = [sys.executable, "-m", "loadlab"]
_COLUMNS = (
    "client", "streams", "TTFT error p50 ms", "p99 ms", "gap error p50 ms", "p99 ms",
    "server's own TTFT p50 / p99 ms", "CPU µs per token",
)  # fmt: skip


@contextmanager
def sim(*flags: str) -> Iterator[str]:
    """The URL of a simulated server."""
    command = [*LOADLAB, "serve", "--engine", "sim", "--port", "0", "--json", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "}\n")
        try:
            yield json.loads("".join(lines) + "}")["url"]
        finally:
            process.terminate()


def ledger(url: str, since_ns: int) -> dict[str, Any]:
    """What the server did since then."""
    with urllib.request.urlopen(f"{url}/sim/ledger?since_ns={since_ns}") as response:
        document: dict[str, Any] = json.load(response)
    return document


def rank(values: list[float], p: float) -> float:
    """Nearest rank."""
    return sorted(values)[max(0, math.ceil(p * len(values)) - 1)]


class Watched:
    """A command run to its end; CPU seconds and peak memory of its processes, by a word of their command."""

    def __init__(self, command: list[str], *words: str, **options: Any) -> None:
        started = time.perf_counter()
        self.cpu_s = dict.fromkeys(words, 0.0)
        self.peak_bytes = dict.fromkeys(words, 0)
        # A file, not a pipe: nobody reads while the command runs.
        with tempfile.TemporaryFile("w+") as out:
            with subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, **options) as process:
                while process.poll() is None:
                    self._look(psutil.Process(process.pid))
                    if time.perf_counter() - started > _PATIENCE_S:
                        process.kill()
                    time.sleep(0.05)
            out.seek(0)
            self.out = out.read()
        self.wall_s = time.perf_counter() - started

    def _look(self, parent: psutil.Process) -> None:
        try:
            for process in (parent, *parent.children(recursive=True)):
                line = " ".join(process.cmdline())
                for word in self.cpu_s:
                    if word in line:
                        self.cpu_s[word] = max(self.cpu_s[word], sum(process.cpu_times()[:2]))
                        self.peak_bytes[word] = max(self.peak_bytes[word], process.memory_info().rss)
        except psutil.Error:
            return


def row(name: str, streams: int, client: dict[str, float], truth: dict[str, Any], cost: str) -> str:
    """One line of the table: errors in ms."""
    errors = [
        client[f"{metric}_{p}"] - truth[f"{metric}_ms"][p]
        for metric in ("ttft", "itl")
        for p in ("p50", "p99")
    ]
    served = f"{truth['ttft_ms']['p50']:.1f} / {truth['ttft_ms']['p99']:.1f}"
    shown = " | ".join(f"{error:.2f}" for error in errors)
    return f"| {name} | {streams} | {shown} | {served} | {cost} |"


def ours(url: str, streams: int) -> str:
    """loadlab as it is: recorder, store and collectors running."""
    workers, recorder = "loadlab.drive.worker", "loadlab.recorder.process"
    start_up = idle_cost(url)
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *LOADLAB, "run", "chat", "--url", f"{url}/v1", "--users", str(streams),
            "--requests", str(streams * ROUNDS), "--max-tokens", str(TOKENS),
            "--db", f"sqlite:///{folder}/x.db", "--json",
        ]  # fmt: skip
        since = time.perf_counter_ns()
        watched = Watched(command, workers, recorder)
    (level,) = json.loads(watched.out)["levels"]
    tokens = streams * ROUNDS * TOKENS
    assert level["requests"]["ok"] == streams * ROUNDS, level["requests"]
    client = {f"{m}_{p}": level["metrics"][f"{m}_ms"][p] for m in ("ttft", "itl") for p in ("p50", "p99")}
    cpu = {word: (watched.cpu_s[word] - start_up[word]) / tokens * 1e6 for word in watched.cpu_s}
    memory = (watched.peak_bytes[workers] - start_up["bytes"]) / streams / 1e3
    cost = f"{cpu[workers]:.1f} worker + {cpu[recorder]:.1f} recorder; {memory:.0f} kB/stream"
    return row("loadlab run", streams, client, ledger(url, since), cost)


_IDLE: dict[str, float] = {}


def idle_cost(url: str) -> dict[str, float]:
    """What the processes cost without load: one user, one request, one token."""
    if not _IDLE:
        with tempfile.TemporaryDirectory() as folder:
            command = [*LOADLAB, "run", "chat", "--url", f"{url}/v1", "--requests", "1", "--max-tokens", "1"]
            watched = Watched(
                [*command, "--db", f"sqlite:///{folder}/x.db"],
                "loadlab.drive.worker",
                "loadlab.recorder.process",
            )
        _IDLE.update(watched.cpu_s, bytes=watched.peak_bytes["loadlab.drive.worker"])
    return _IDLE


def peer(name: str, url: str, streams: int) -> str:
    """The same load through another client."""
    since = time.perf_counter_ns()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        if name == "aiohttp":
            script = HERE / "peer_aiohttp.py"
            watched = Watched(
                [sys.executable, str(script), f"{url}/v1", str(streams), str(ROUNDS), str(TOKENS)]
            )
            document = json.loads(watched.out)
        else:
            variables = {"CLIENT": name, "ROUNDS": str(ROUNDS), "TOKENS": str(TOKENS), "OUT": str(out)}
            command = [sys.executable, "-m", "locust", "-f", str(HERE / "peer_locust.py"), "--headless"]
            rates = ["-u", str(streams), "-r", str(streams), "--host", f"{url}/v1"]
            Watched([*command, *rates], env={**os.environ, **variables})
            document = json.loads(out.read_text())
    client = {
        f"{m}_{p}": rank(document[f"{m}_ms"], q)
        for m in ("ttft", "itl")
        for p, q in (("p50", 0.5), ("p99", 0.99))
    }
    cost = f"{document['cpu_s'] / (streams * ROUNDS * TOKENS) * 1e6:.1f} (with start-up)"
    label = {
        "aiohttp": "aiohttp",
        "fasthttp": "Locust FastHttpUser",
        "requests": "Locust HttpUser (requests)",
    }[name]
    return row(label, streams, client, ledger(url, since), cost)


def open_loop(url: str, rate: int = 200, seconds: int = 30) -> str:
    """How late a Poisson schedule is sent, and whether its gaps are exponential."""
    with tempfile.TemporaryDirectory() as folder:
        place = f"sqlite:///{folder}/x.db"
        command = [
            *LOADLAB, "run", "chat", "--url", f"{url}/v1", "--rate", str(rate), "--duration", f"{seconds}s",
            "--max-tokens", "10", "--db", place, "--json",
        ]  # fmt: skip
        (level,) = json.loads(Watched(command).out)["levels"]
        with store.open(place) as database:
            sent = sorted(database.requests(database.runs().id[0]).sent_ns / 1e9)
    lag = level["metrics"]["send_lag_ms"]
    gaps = sorted(b - a for a, b in pairwise(sent))
    n = len(gaps)
    distance = max(abs((i + 1) / n - (1 - math.exp(-gap * n / sum(gaps)))) for i, gap in enumerate(gaps))
    verdict = "passes" if distance < 1.63 / math.sqrt(n) else "fails"
    return (
        f"Open loop, Poisson {rate} req/s for {seconds} s: {level['requests']['sent']} sent, send lag p50 "
        f"{lag['p50']:.2f} / p99 {lag['p99']:.2f} / max {lag['max']:.2f} ms; KS distance of the gaps "
        f"{distance:.4f}, {verdict} at 1 %."
    )


def short_run(url: str) -> str:
    """From command to prompt for three seconds of load."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *LOADLAB,
            "run",
            "chat",
            "--url",
            f"{url}/v1",
            "--users",
            "8",
            "--duration",
            "3s",
            "--max-tokens",
            "20",
        ]
        walls = [Watched([*command, "--db", f"sqlite:///{folder}/{i}.db"]).wall_s for i in range(3)]
    return (
        f"A run of 3 s takes {min(walls):.1f} s from command to prompt (best of 3; worst {max(walls):.1f} s)."
    )


def whole_answers() -> str:
    """Requests per second and core without streaming, beside FastHttpUser."""
    with sim("--ttft", "0ms", "--itl", "0ms") as url:
        rates = {name: whole_rate(name, url) for name in ("loadlab", "fasthttp")}
    ratio = rates["loadlab"] / rates["fasthttp"]
    return (
        f"Whole answers, 16 users, one process: {rates['loadlab']:.0f} requests per CPU second against "
        f"{rates['fasthttp']:.0f} through FastHttpUser ({ratio:.1f} times as many)."
    )


def whole_rate(name: str, url: str, requests: int = 20_000) -> float:
    """Requests per CPU second of the client process."""
    script = [sys.executable, str(HERE / "whole.py"), name, f"{url}/v1", str(requests)]
    return float(Watched(script).out)


def floor(streams: int) -> str:
    """What receiving alone costs here: the kernel's part of every client's CPU."""
    with sim() as url:
        script = [sys.executable, str(HERE / "floor.py"), url, str(streams), str(ROUNDS), str(TOKENS)]
        cost = float(Watched(script).out)
    return (
        f"Receiving alone (bare epoll, nothing stamped or kept), {streams} streams: {cost:.1f} µs per token."
    )


def machine() -> str:
    """What all of this ran on."""
    memory = psutil.virtual_memory().total / 2**30
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(": ")[1].strip() for line in lines if "model name" in line), "?")
    python = platform.python_version()
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, Python {python}"


def main() -> None:
    """Runs all of it and prints Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    print(f"Machine: {machine()}. Date: {time.strftime('%Y-%m-%d')}.\n")
    print("| " + " | ".join(_COLUMNS) + " |")
    print("|---" * len(_COLUMNS) + "|", flush=True)
    for streams in (100, 300) if quick else (100, 300, 1000):
        for name in ("loadlab",) if quick else ("loadlab", "aiohttp", "fasthttp", "requests"):
            with sim() as url:  # a fresh one each: nobody inherits another's heap
                print(ours(url, streams) if name == "loadlab" else peer(name, url, streams), flush=True)
    with sim() as url:
        print(f"\n{open_loop(url)}\n\n{short_run(url)}\n\n{whole_answers()}", flush=True)
    print(f"\n{floor(300 if quick else 1000)}", flush=True)


if __name__ == "__main__":
    main()
