"""Which collectors a run needs. The GPUs of this host are never taken for those of a server elsewhere."""

from __future__ import annotations

import os
import socket
from urllib.parse import urlsplit

import psutil

from loadlab.collectors import Collector, host, nvml, remote_gpus, scrape
from loadlab.core.nouns import Run


def for_run(run: Run, gpus: bool = True) -> tuple[list[Collector], list[str]]:
    """The collectors of a run, and sentences on what is not read. Without `gpus` another host reads those."""
    found = [host()]
    notes = []
    if gpus:
        gpu, note = _gpus(run)
        found += [gpu] if gpu else []
        notes += [note] if note else []
    return [*found, *([scrape(run.metrics_url)] if run.metrics_url else [])], notes


def _gpus(run: Run) -> tuple[Collector | None, str]:
    """The GPUs that serve. Those of this host would be measured in vain where the server is elsewhere."""
    if run.gpu_url == "none":
        return None, ""
    if run.gpu_url not in (None, "local"):
        token = os.environ.get(run.gpu_token_env) if run.gpu_token_env else None
        return remote_gpus(str(run.gpu_url), token, run.gpus), ""
    where = urlsplit(run.endpoint.url).hostname or ""
    if run.gpu_url == "local" or is_here(where):
        return nvml(gpus=run.gpus), ""
    return None, f"GPUs of {where} are not read; --gpu-url reads those of your own server."


def is_here(name: str) -> bool:
    """Whether a host name or address is this machine's; nobody is asked."""
    if name in ("localhost", socket.gethostname()):
        return True
    own = {address.address.partition("%")[0] for each in psutil.net_if_addrs().values() for address in each}
    return name in own or name.startswith("127.")
