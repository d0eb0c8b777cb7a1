"""The NVIDIA GPUs of this host through NVML. They are the server's only when the server runs on this host.

A value that a GPU or its mode (MIG, vGPU) does not offer is left out; the others are still read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Reading

_METRICS: dict[str, Callable[[Any, Any], float]] = {
    "utilisation_percent": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "memory_used_bytes": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used,
    "memory_total_bytes": lambda nvml, gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
    "power_w": lambda nvml, gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "energy_j": lambda nvml, gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000,
    "temperature_c": lambda nvml, gpu: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
    "sm_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
}


class Nvml:
    """Per GPU: utilisation, memory, power, energy since the driver loaded, temperature, SM clock."""

    name = "nvml"
    period_s = 0.5

    def __init__(self, library: Any = None) -> None:
        self.notes: list[str] = []
        self._nvml = import_module("pynvml") if library is None else library
        self._gpus: list[tuple[str, Any]] = []

    async def open(self) -> str | None:
        """Finds the GPUs. Waking a sleeping driver can take seconds, so it is done in a thread."""
        return await asyncio.to_thread(self._open)

    async def read(self) -> list[Reading]:
        """Up to seven readings per GPU."""
        return await asyncio.to_thread(self._read)

    async def close(self) -> None:
        """Lets go of the driver."""
        try:
            self._nvml.nvmlShutdown()
        except self._nvml.NVMLError:
            return

    def _open(self) -> str | None:
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            return f"no NVIDIA driver answers here ({error}), so there are no GPU readings."
        try:
            count = self._nvml.nvmlDeviceGetCount()
            self._gpus = [(f"gpu{i}", self._nvml.nvmlDeviceGetHandleByIndex(i)) for i in range(count)]
        except self._nvml.NVMLError as error:
            return f"the NVIDIA driver does not give its GPUs ({error}), so there are no GPU readings."
        return None if self._gpus else "the NVIDIA driver knows no GPU, so there are no GPU readings."

    def _read(self) -> list[Reading]:
        return [reading for device, gpu in self._gpus for reading in self._of(device, gpu)]

    def _of(self, device: str, gpu: Any) -> list[Reading]:
        found, refused, at_ns = [], [], now_ns()
        for metric, ask in _METRICS.items():
            try:
                found.append(Reading(at_ns, self.name, device, metric, float(ask(self._nvml, gpu))))
            except self._nvml.NVMLError as error:
                refused.append(f"{metric} ({error})")
        if refused:
            self._note_once(f"{device} did not give {', '.join(refused)}.")
        return found

    def _note_once(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)
