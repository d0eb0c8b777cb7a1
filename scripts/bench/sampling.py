"""What sampling costs: CPU time of this process over a minute of each collector, a stand-in for its source.

    python scripts/bench/sampling.py [SECONDS]

NVML is a fake of pynvml, so what the driver itself takes is not in it. The page is read over a real socket
from a process of its own.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/unit/collectors")]

from nvml_fake import FakeNvml  # type: ignore[import-not-found]  # noqa: E402
from pages_served import VLLM, Served  # type: ignore[import-not-found]  # noqa: E402

from loadlab import collectors  # noqa: E402
from loadlab.collectors import Collector  # noqa: E402

_PORT = 18_473
_HISTOGRAMS = "".join(
    f'vllm:time_{name}_bucket{{engine="0",le="{le}",model_name="tiny"}} {le}.0\n'
    for name in ("to_first_token", "per_output_token", "in_queue", "in_prefill", "in_decode", "in_all")
    for le in range(30)
)


async def cost(collector: Collector, seconds: float) -> tuple[float, float]:
    """CPU in percent of a core while a collector is read at its period, and its readings per second."""
    await collector.open()
    began, cpu = time.perf_counter(), time.process_time()
    readings = 0
    while (now := time.perf_counter()) < began + seconds:
        readings += len(await collector.read())
        await asyncio.sleep(max(0.0, collector.period_s - (time.perf_counter() - now)))
    spent, took = time.process_time() - cpu, time.perf_counter() - began
    await collector.close()
    return 100 * spent / took, readings / took


async def _serve() -> None:
    await Served(VLLM + _HISTOGRAMS).start(_PORT)
    await asyncio.Event().wait()


def _serving() -> None:
    asyncio.run(_serve())


def at(collector: Any, period_s: float) -> Collector:
    """The collector at another pace."""
    collector.period_s = period_s
    found: Collector = collector
    return found


def main(seconds: float) -> None:
    """Prints one line per collector."""
    server = multiprocessing.Process(target=_serving, daemon=True)
    server.start()
    time.sleep(2)
    page = f"http://127.0.0.1:{_PORT}/metrics"
    cases: dict[str, Callable[[], Collector]] = {
        "nvml, 1 GPU, 10 Hz": lambda: at(collectors.nvml(FakeNvml(1)), 0.1),
        "nvml, 8 GPUs, 10 Hz": lambda: at(collectors.nvml(FakeNvml(8)), 0.1),
        "host, 1 Hz": collectors.host,
        "host, 10 Hz": lambda: at(collectors.host(), 0.1),
        "server page, 1 Hz": lambda: collectors.scrape(page),
        "server page, 10 Hz": lambda: at(collectors.scrape(page), 0.1),
    }
    for name, make in cases.items():
        percent, readings = asyncio.run(cost(make(), seconds))
        print(f"{name:<22} {percent:5.2f} % of a core  {readings:7.1f} readings/s", flush=True)
    server.terminate()
    server.join()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
