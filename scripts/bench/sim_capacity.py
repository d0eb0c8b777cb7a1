"""Does the simulated server keep 1,000 streams of 100 tokens/s on one core? Its ledger says how late it was.

The server has core 0 for itself. Core 1 has a reader that only empties sockets and never sleeps, as a load
worker at that pace never does: waking a sleeping one costs the sender several microseconds a token. Streams
begin spread over some seconds, for this is about the pace, not about a wave of requests. Prints Markdown.
`--hardware NAME` also simulates batches on that hardware, at the pace that this gives.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import psutil

from loadlab.drive.bundled import bundled_server

HEAD = """\
| engine | streams | tok/s each | late p50 / p99 ms | gap p50 / p99 ms | CPU µs per token | of a core |
|---|---|---|---|---|---|---|"""


def read_all(url: str, streams: int, tokens: int, spread_s: float) -> None:
    """Opens the streams one by one over `spread_s` and reads all of them to their ends."""
    parts = urlsplit(url)
    body = json.dumps({"prompt": "a b c", "max_tokens": tokens, "stream": True}).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
    open_ones: dict[int, socket.socket] = {}
    poll, begun, left = select.epoll(), time.monotonic(), streams
    while left or open_ones:
        due = min(streams, int((time.monotonic() - begun) / spread_s * streams) + 1)
        while streams - left < due:
            each = socket.create_connection((parts.hostname, parts.port))
            each.sendall(head.encode() + b"\r\n\r\n" + body)
            open_ones[each.fileno()] = each
            poll.register(each, select.EPOLLIN)
            left -= 1
        for number, _ in poll.poll(0):
            if not open_ones[number].recv(65536):
                poll.unregister(number)
                open_ones.pop(number).close()


def measured(flags: list[str], streams: int, tokens: int, spread_s: float) -> dict[str, Any]:
    """Lateness of every token (ms), pace of the streams and CPU of the server, by the server's ledger."""
    with bundled_server(["--engine", "sim", *flags]) as server:
        process = psutil.Process(server.pid)
        process.cpu_affinity([0])
        before, begun = sum(process.cpu_times()[:2]), time.monotonic()
        reader = [sys.executable, __file__, "--read", server.url, "--streams", str(streams)]
        reader += ["--tokens", str(tokens), "--spread", str(spread_s)]
        subprocess.run(reader, check=True)
        wall_s, cpu_s = time.monotonic() - begun, sum(process.cpu_times()[:2]) - before
        with urllib.request.urlopen(f"{server.url}/sim/ledger?rows=0") as answer:
            ledger = json.load(answer)
    return {"wall_s": wall_s, "cpu_s": cpu_s, "us_per_token": cpu_s / streams / tokens * 1e6, **ledger}


def line(name: str, found: dict[str, Any], streams: int) -> str:
    """A line of the table."""
    late, gap = found["late_ms"], found["itl_ms"]
    return (
        f"| {name} | {streams:,} | {1000 / gap['p50']:.0f} | {late['p50']:.2f} / {late['p99']:.2f} | "
        f"{gap['p50']:.2f} / {gap['p99']:.2f} | {found['us_per_token']:.1f} | "
        f"{found['cpu_s'] / found['wall_s']:.0%} |"
    )


def main() -> None:
    """Measures and prints; with --read it is the reader."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--streams", type=int, default=1000)
    options.add_argument("--tokens", type=int, default=1000)
    options.add_argument("--spread", type=float, default=3.0, help="seconds over which the streams begin")
    options.add_argument("--hardware", action="append", default=[], help="also this simulated hardware")
    options.add_argument("--read", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.read:
        os.sched_setaffinity(0, [1])
        read_all(given.read, given.streams, given.tokens, given.spread)
        return
    print(HEAD, flush=True)
    kinds = [("sim, 10 ms gaps", ["--ttft", "50ms", "--itl", "10ms"])]
    kinds += [(f"sim on {name}", ["--hardware", name, "--max-num-seqs", "1024"]) for name in given.hardware]
    for name, flags in kinds:
        found = measured(flags, given.streams, given.tokens, given.spread)
        print(line(name, found, given.streams), flush=True)


if __name__ == "__main__":
    main()
