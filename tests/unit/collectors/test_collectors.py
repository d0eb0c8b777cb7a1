from __future__ import annotations

import asyncio
import inspect
import socket

import pytest
from nvml_fake import FakeNvml

from loadlab import collectors
from loadlab.collectors import Collector
from loadlab.collectors.for_run import for_run, is_here
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Endpoint, Reading, Run


def by_metric(readings: list[Reading]) -> dict[str, float]:
    return {reading.metric: reading.value for reading in readings}


def test_the_host_is_read_without_a_false_zero() -> None:
    async def story() -> tuple[dict[str, float], dict[str, float]]:
        host = collectors.host()
        assert await host.open() is None
        at_once = by_metric(await host.read())
        await asyncio.sleep(0.25)
        return at_once, by_metric(await host.read())

    at_once, later = asyncio.run(story())
    assert later.keys() - at_once.keys() == {"cpu_percent", "busiest_core_percent"}
    assert 0 <= later["cpu_percent"] <= later["busiest_core_percent"] <= 100
    assert 0 < later["memory_used_bytes"] < later["memory_total_bytes"]
    assert later["load_1m"] >= 0


@pytest.mark.parametrize(
    "collector",
    [
        collectors.host(),
        collectors.nvml(FakeNvml()),
        collectors.scrape("http://127.0.0.1:1/metrics"),
        collectors.remote_gpus("http://127.0.0.1:1"),
        collectors.remote_gpus("http://127.0.0.1:1/metrics"),
    ],
    ids=lambda collector: collector.name,
)
def test_every_collector_keeps_the_contract(collector: Collector) -> None:
    assert collector.period_s > 0
    assert collector.idle_s >= 0
    assert collector.notes == []
    for method in ("open", "read", "close"):
        assert inspect.iscoroutinefunction(getattr(collector, method))


def test_an_unknown_collector_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'nvml'"):
        collectors.get("nvlm")


def run(url: str, **changes: str) -> Run:
    return Run(
        id="r", scenario="chat", scenario_path="", endpoint=Endpoint(url=url, model="m"), levels=(), seed=1,
        timeout_s=1, clock_ns=0, started_at_ns=0, **changes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        (run("http://127.0.0.1:8000/v1"), ["host", "nvml"]),
        (run("http://[::1]:8000/v1", gpu_url="none"), ["host"]),
        (run("https://api.example.com/v1"), ["host"]),
        (run("https://api.example.com/v1", gpu_url="local"), ["host", "nvml"]),
        (run("http://gpu-box:8000/v1", gpu_url="http://gpu-box:9401"), ["host", "gpu-agent"]),
        (run("http://gpu-box:8000/v1", gpu_url="http://gpu-box:9400/metrics"), ["host", "gpu-page"]),
        (
            run("http://localhost:8000/v1", metrics_url="http://localhost:8000/metrics"),
            ["host", "nvml", "scrape"],
        ),
    ],
)
def test_a_run_reads_the_gpus_that_serve_and_no_others(asked: Run, names: list[str]) -> None:
    found, notes = for_run(asked)
    assert [collector.name for collector in found] == names
    assert bool(notes) == (asked.endpoint.url.startswith("https") and asked.gpu_url is None)
    assert [collector.name for collector in for_run(asked, gpus=False)[0]] == [
        name for name in names if name in ("host", "scrape")
    ]


def test_a_host_knows_itself() -> None:
    assert is_here(socket.gethostname())
    assert is_here("::1")
    assert not is_here("192.0.2.1")
    assert not is_here("")
