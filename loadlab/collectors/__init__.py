"""What is measured beside the requests: this host, its GPUs, the server's own metrics.

A collector that cannot work says so in one sentence and nothing fails. One that stops working leaves a gap,
never a zero, and says it once in `notes`. One file per kind; entry points `loadlab.collectors` add others.
"""

from __future__ import annotations

from typing import Any, Protocol

from loadlab.core.finder import find
from loadlab.core.nouns import Reading

_COLLECTORS = {
    "host": "loadlab.collectors.machine:Host",
    "nvml": "loadlab.collectors.gpus:Nvml",
    "scrape": "loadlab.collectors.exporter:Scrape",
}


class Collector(Protocol):
    """One source of readings, read every `period_s` seconds; `notes` are sentences to keep with the run."""

    name: str
    period_s: float
    notes: list[str]

    async def open(self) -> str | None:
        """Makes ready. None when it works, else one sentence why it does not; it is then not read."""

    async def read(self) -> list[Reading]:
        """What is true now; empty when it cannot be known. Never raises and never blocks for long."""

    async def close(self) -> None:
        """Lets go of what `open` took."""


def get(name: str, **options: Any) -> Collector:
    """A collector by name, built with its options. Raises UnknownNameError."""
    collector: Collector = find("collectors", "collector", name, _COLLECTORS)(**options)
    return collector


def host() -> Collector:
    """CPU, memory and load of this host."""
    return get("host")


def nvml(library: Any = None) -> Collector:
    """The NVIDIA GPUs of this host; `library` stands in for pynvml."""
    return get("nvml", library=library)


def scrape(url: str) -> Collector:
    """A server's Prometheus page: vLLM, SGLang, TGI, llama.cpp or `loadlab serve`."""
    return get("scrape", url=url)
