"""This host: CPU, memory, load. Where load is generated it shows whether the generator was the limit."""

from __future__ import annotations

import socket

import psutil

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Reading
from loadlab.core.units import NS_PER_S

_SHORTEST_NS = NS_PER_S // 10  # CPU times advance in ticks: over less, a percentage is noise or 0


class Host:
    """CPU in percent of all cores and of the busiest one, memory in use, load average over one minute."""

    name = "host"
    period_s = 1.0
    idle_s = 0.0

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._device = socket.gethostname()
        self._since_ns = 0

    async def open(self) -> str | None:
        """Begins the first interval: CPU use is a mean since the reading before."""
        self._busy_percent()
        return None

    async def read(self) -> list[Reading]:
        """Five readings, or three when the last was too short ago to know the CPU use."""
        memory = psutil.virtual_memory()
        values = {
            **self._busy_percent(),
            "memory_used_bytes": memory.total - memory.available,
            "memory_total_bytes": memory.total,
            "load_1m": psutil.getloadavg()[0],
        }
        at_ns = now_ns()
        return [Reading(at_ns, self.name, self._device, name, float(value)) for name, value in values.items()]

    async def close(self) -> None:
        """Nothing is held."""

    def _busy_percent(self) -> dict[str, float]:
        if now_ns() - self._since_ns < _SHORTEST_NS:
            return {}
        self._since_ns, cores = now_ns(), psutil.cpu_percent(percpu=True)
        return {"cpu_percent": sum(cores) / len(cores), "busiest_core_percent": max(cores)}
