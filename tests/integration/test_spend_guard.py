"""The spend guard stops real runs at their cap: a vendor that bills, over real sockets, by its own count."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiohttp import web

from loadlab import store
from loadlab.core.errors import ExitCode
from tests.conftest import unused_port
from tests.integration.conftest import LOADLAB

PROMPT, OUTPUT = 1000, 50
# 1,000 in at $1/Mtok = $0.001, 50 out at $20/Mtok = $0.001: two tenths of a cent a request.
REQUEST_USD = 0.002
PRICES = """
[prices.vendor-model]
input_usd_per_mtok = 1.0
output_usd_per_mtok = 20.0
as_of = "2026-11-01"
source = "the vendor's page"
"""


class Vendor:
    """Answers every chat with the same usage after `delay_s`, and counts what it will bill."""

    def __init__(self) -> None:
        self.billed = self.under_way = self.most_under_way = 0
        self.delay_s = 0.03
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        ready.wait(10)

    def url(self, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}/v1"

    @property
    def usd(self) -> float:
        return self.billed * REQUEST_USD

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())
        self._loop.close()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        listening = socket.create_server(("0.0.0.0", 0))
        self.port = listening.getsockname()[1]
        await web.SockSite(self._runner, listening).start()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "vendor-model"}]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.billed += 1
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await asyncio.sleep(self.delay_s)
        usage = {"prompt_tokens": PROMPT, "completion_tokens": OUTPUT, "total_tokens": PROMPT + OUTPUT}
        choice = {"index": 0, "delta": {"content": "word"}, "finish_reason": "stop"}
        for event in ({"choices": [choice]}, {"choices": [], "usage": usage}):
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.under_way -= 1
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Vendor]:
    (tmp_path / "loadlab.toml").write_text(PRICES)
    vendor = Vendor()
    yield vendor
    vendor.close()


def run(folder: Path, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [*LOADLAB, "run", "chat", "--url", url, "--model", "vendor-model", "--db", "sqlite:///x.db"]
    return subprocess.run(
        [*command, "--max-tokens", "50", *flags], cwd=folder, capture_output=True, text=True, timeout=90
    )


def notes(folder: Path) -> list[str]:
    with store.open(f"sqlite:///{folder}/x.db", create=False) as opened:
        return opened.run("latest").notes


@pytest.mark.parametrize(
    ("load", "users"),
    [
        (("--users", "4", "--duration", "20s"), 4),
        (("--users", "4", "--duration", "20s", "--processes", "2"), 4),
        (("--users", "2", "--requests", "400"), 2),
        (("--rate", "60", "--arrivals", "constant", "--duration", "20s"), None),
        (("--rate", "60", "--duration", "20s", "--processes", "2"), None),
    ],
)
def test_a_run_stops_at_its_cap_but_for_what_is_in_flight(
    vendor: Vendor, tmp_path: Path, load: tuple[str, ...], users: int | None
) -> None:
    cap = 0.1  # fifty requests
    done = run(tmp_path, vendor.url(), *load, "--max-cost", str(cap))
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    in_flight = users or vendor.most_under_way
    assert 50 <= vendor.billed <= 50 + in_flight
    assert any("stopped by the spend guard" in note for note in notes(tmp_path)), notes(tmp_path)
    with store.open(f"sqlite:///{tmp_path}/x.db", create=False) as opened:
        rows = opened.requests(opened.run("latest").id)
    assert int(rows["cost_nano_usd"].sum()) == vendor.billed * 2_000_000


def test_a_dear_worst_case_slows_the_end_and_does_not_lower_the_cap(vendor: Vendor, tmp_path: Path) -> None:
    """A cap on output twenty times what is used: the guard waits for the books instead of giving up."""
    load = ("--users", "3", "--requests", "500", "--max-tokens", "1000")
    done = run(tmp_path, vendor.url(), *load, "--max-cost", "0.06")
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert 30 <= vendor.billed <= 33


def test_a_run_below_its_cap_is_left_alone(vendor: Vendor, tmp_path: Path) -> None:
    done = run(tmp_path, vendor.url(), "--users", "2", "--requests", "20", "--max-cost", "0.5")
    assert vendor.billed == 20
    assert "estimate: about" in done.stderr
    assert not any("spend guard" in note for note in notes(tmp_path))


def test_the_cap_holds_over_the_levels_of_a_sweep(vendor: Vendor, tmp_path: Path) -> None:
    done = run(tmp_path, vendor.url(), "--users", "1,2,3", "--requests", "40", "--max-cost", "0.1")
    assert done.returncode == ExitCode.INTERRUPTED
    assert 50 <= vendor.billed <= 52


def test_hours_are_guarded_by_time(vendor: Vendor, tmp_path: Path) -> None:
    done = run(
        tmp_path, vendor.url(), "--users", "1", "--duration", "60s", "--price", "3600/h", "--max-cost", "2"
    )  # fmt: skip
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert any("$2.00 were spent" in note or "of --max-cost $2.00" in note for note in notes(tmp_path))
    assert vendor.billed < 200


@pytest.fixture(scope="session")
def own_address() -> str:
    """An address of this machine that is not loopback: what a vendor's looks like."""
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            if one.family == socket.AF_INET and not one.address.startswith("127."):
                return str(one.address)
    pytest.skip("this machine has no address but loopback, so it cannot pose as a vendor's")


def test_a_vendor_that_bills_wants_a_cap_or_a_yes(vendor: Vendor, tmp_path: Path, own_address: str) -> None:
    url = vendor.url(own_address)
    refused = run(tmp_path, url, "--requests", "3")
    assert refused.returncode == ExitCode.USAGE
    assert "this run costs money: about $" in refused.stderr
    assert "for 3 requests" in refused.stderr
    assert "--max-cost USD" in refused.stderr
    assert vendor.billed == 0
    assert run(tmp_path, url, "--requests", "3", "--yes").stderr.count("at most 20 requests per second") == 1
    assert vendor.billed == 3
    run(tmp_path, url, "--requests", "3", "--max-cost", "1")
    assert vendor.billed == 6


def test_a_strangers_host_has_a_cap_on_the_rate(vendor: Vendor, tmp_path: Path, own_address: str) -> None:
    url = vendor.url(own_address)
    refused = run(tmp_path, url, "--rate", "50", "--requests", "3", "--yes")
    assert refused.returncode == ExitCode.USAGE
    assert "50 requests per second" in refused.stderr
    assert "give --max-rate 50" in refused.stderr
    assert vendor.billed == 0
    vendor.delay_s = 0.0
    run(tmp_path, url, "--users", "8", "--duration", "3s", "--max-rate", "10", "--processes", "2", "--yes")
    assert 15 <= vendor.billed <= 33


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--max-cost", "0"), "--max-cost 0 leaves nothing to do"),
        (("--max-cost", "-1"), "--max-cost -1 leaves nothing to do"),
        (("--max-rate", "0"), "--max-rate 0 leaves nothing to do"),
        (("--slo", "ttft=5"), "SLO metric 'ttft' is not known; did you mean 'ttft_ms'?"),
        (("--slo", "ttft_ms=fast"), "write it like ttft_ms=500"),
    ],
)
def test_a_cap_that_makes_no_sense_is_refused(
    vendor: Vendor, tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    refused = run(tmp_path, vendor.url(), "--requests", "3", *flags)
    assert refused.returncode == ExitCode.USAGE
    assert words in refused.stderr
    assert vendor.billed == 0


def test_a_cap_without_a_price_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text("")
    refused = run(tmp_path, vendor.url(), "--requests", "3", "--max-cost", "1")
    assert refused.returncode == ExitCode.USAGE
    assert "--max-cost 1 cannot be kept, as the run is unpriced" in refused.stderr
    assert vendor.billed == 0


def test_two_load_hosts_keep_one_cap(vendor: Vendor, tmp_path: Path) -> None:
    """Each host records for itself, and its books still count: the controlling one keeps the sum."""
    place = f"127.0.0.1:{unused_port()}"
    load = ("--url", vendor.url(), "--model", "vendor-model", "--users", "4", "--duration", "30s")
    leader = [*LOADLAB, "run", "chat", *load, "--max-tokens", "50", "--max-cost", "0.1"]
    hosts = [
        subprocess.Popen([*LOADLAB, "worker", "--master", place], cwd=tmp_path, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    done = subprocess.run(
        [*leader, "--hosts", "2", "--collect", "--bind", place, "--db", "sqlite:///x.db"],
        cwd=tmp_path, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    for host in hosts:
        host.wait(30)
    assert done.returncode == ExitCode.INTERRUPTED, done.stderr
    assert 50 <= vendor.billed <= 54
    assert any("stopped by the spend guard" in note for note in notes(tmp_path)), notes(tmp_path)
