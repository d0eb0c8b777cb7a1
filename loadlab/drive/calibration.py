"""The bundled server of known timing and the runs that calibrate the client against it.

A child process on loopback, one for each pace; the runs are ordinary ones. It imports neither locust nor SQL,
and what the numbers mean is not its business.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from loadlab.core.finder import beside
from loadlab.core.nouns import Endpoint, Level, Run
from loadlab.core.units import NS_PER_MS, NS_PER_S
from loadlab.drive import spec
from loadlab.drive.bundled import bundled_server

TTFT_MS = 50
LABEL = "calibration"
_ANSWER_S = 1.0
_ASK_S = 60.0


class KnownServer:
    """A running `loadlab serve --engine sim`; `url` is its base URL."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ledger(self, since_ns: int) -> dict[str, Any]:
        """What it did for the requests that arrived since then (`clock.now_ns()`), in quantiles."""
        page = f"{self.url}/sim/ledger?rows=0&since_ns={since_ns}"
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            page, timeout=_ASK_S
        ) as answer:
            document: dict[str, Any] = json.load(answer)
        return document


@contextmanager
def known_server(tokens_per_s: float) -> Iterator[KnownServer]:
    """A server whose streams run at that pace, for as long as the block lasts. Raises TargetError."""
    gap_ms = NS_PER_S / tokens_per_s / NS_PER_MS
    with bundled_server(["--engine", "sim", "--ttft", f"{TTFT_MS}ms", "--itl", f"{gap_ms:.6f}ms"]) as server:
        yield KnownServer(server.url)


def answer_tokens(tokens_per_s: float) -> int:
    """The length of an answer that streams for about a second."""
    return max(2, round(tokens_per_s * _ANSWER_S))


def run_of(server: KnownServer, streams: int, tokens_per_s: float, duration_s: float, processes: int) -> Run:
    """The run that has `streams` users read answers of that pace for `duration_s`, one after the other."""
    scenario = next(Path(place) / "chat.py" for place in beside("scenarios").__path__)
    return spec.build(
        scenario,
        Endpoint(url=f"{server.url}/v1", model="sim", name="sim"),
        (Level(0, users=streams, duration_s=duration_s),),
        seed=0,
        timeout_s=_ASK_S,
        max_tokens=answer_tokens(tokens_per_s),
        processes=processes,
        unpriced="unpriced: a simulation",
        label=f"{LABEL} {streams} × {tokens_per_s:g} tok/s",
        metrics_url=f"{server.url}/metrics",
    )
