"""What is measured beside the requests: this host, the GPUs that serve, the server's own metrics.

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
    "gpu-agent": "loadlab.collectors.far_gpus:AgentGpus",
    "gpu-page": "loadlab.collectors.far_gpus:PageGpus",
    "scrape": "loadlab.collectors.exporter:Scrape",
}


class Collector(Protocol):
    """One source of readings, read every `period_s` seconds; `notes` are sentences to keep with the run.

    One that knows the server's hardware may have `facts`: {"gpu": its name, "driver": its version}.

    `idle_s`: how long it is to be read before the load begins, to know what is used without any.
    """

    name: str
    period_s: float
    idle_s: float
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


def nvml(library: Any = None, gpus: str | None = None) -> Collector:
    """The NVIDIA GPUs of this host, or those of a list like "0,1"; `library` stands in for pynvml."""
    return get("nvml", library=library, gpus=gpus)


def remote_gpus(url: str, token: str | None = None, gpus: str | None = None) -> Collector:
    """The GPUs of another host: a URL without a path is a `loadlab gpu agent`, with one a Prometheus page."""
    return get("gpu-page" if has_path(url) else "gpu-agent", url=url, token=token, gpus=gpus)


def scrape(url: str) -> Collector:
    """A server's Prometheus page: vLLM, SGLang, TGI, Triton, TensorRT-LLM, llama.cpp or any other."""
    return get("scrape", url=url)


def has_path(url: str) -> bool:
    """Whether a URL names a page, not only a host."""
    return url.partition("://")[2].partition("/")[2].strip("/") != ""
