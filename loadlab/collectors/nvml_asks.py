"""What a GPU is asked, and what its answers mean. Knows NVML's calls and units; keeps no state but counters'.

Fast asks are made at every reading, the others once a second: reading PCIe takes the driver 20 ms each way.
A call that fails tells nothing of the others: each stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Values = Iterator[tuple[str, float]]

_KIB = 1024
_RECENT_US = 2_000_000
_ALL_LINKS = 0xFFFFFFFF
_UNKNOWN = 0xFFFFFFFFFFFFFFFF
# Bits of nvmlDeviceGetCurrentClocksThrottleReasons; idle and clocks set by the user are no throttling.
_POWER, _HEAT, _OTHER = 0x4 | 0x80 | 0x200, 0x20 | 0x40, 0x8 | 0x10 | 0x400


@dataclass(frozen=True, slots=True)
class Ask:
    """One call of NVML. `gives` names what it is about, for the sentence that says it is missing."""

    gives: str
    fast: bool
    of: Callable[[Any, Any], Values]


def _busy(nvml: Any, gpu: Any) -> Values:
    rates = nvml.nvmlDeviceGetUtilizationRates(gpu)
    yield "utilisation_percent", rates.gpu
    yield "memory_busy_percent", rates.memory


def _power(nvml: Any, gpu: Any) -> Values:
    yield "power_w", nvml.nvmlDeviceGetPowerUsage(gpu) / 1000


def _energy(nvml: Any, gpu: Any) -> Values:
    yield "energy_j", nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000


def _memory(nvml: Any, gpu: Any) -> Values:
    memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
    yield "memory_used_bytes", memory.used
    yield "memory_total_bytes", memory.total


def _power_limit(nvml: Any, gpu: Any) -> Values:
    yield "power_limit_w", nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000


def _temperature(nvml: Any, gpu: Any) -> Values:
    yield "temperature_c", nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)


def _sm_clock(nvml: Any, gpu: Any) -> Values:
    yield "sm_clock_mhz", nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM)


def _memory_clock(nvml: Any, gpu: Any) -> Values:
    yield "memory_clock_mhz", nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM)


def _throttling(nvml: Any, gpu: Any) -> Values:
    bits = nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu)
    yield "throttled_by_power", float(bool(bits & _POWER))
    yield "throttled_by_heat", float(bool(bits & _HEAT))
    yield "throttled_otherwise", float(bool(bits & _OTHER))


def _pcie(nvml: Any, gpu: Any) -> Values:
    for name, way in (("tx", nvml.NVML_PCIE_UTIL_TX_BYTES), ("rx", nvml.NVML_PCIE_UTIL_RX_BYTES)):
        yield f"pcie_{name}_bytes_per_s", nvml.nvmlDeviceGetPcieThroughput(gpu, way) * 1000


def _nvlink(nvml: Any, gpu: Any) -> Values:
    ways = {
        "nvlink_tx_bytes": nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
        "nvlink_rx_bytes": nvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
    }
    answers = nvml.nvmlDeviceGetFieldValues(gpu, [(field, _ALL_LINKS) for field in ways.values()])
    for name, answer in zip(ways, answers, strict=True):
        if answer.nvmlReturn:
            raise nvml.NVMLError(answer.nvmlReturn)
        yield name, answer.value.ullVal * _KIB


def _processes(nvml: Any, gpu: Any) -> Values:
    for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu):
        if process.usedGpuMemory not in (None, _UNKNOWN):
            yield f"process_memory_bytes.{process.pid}", process.usedGpuMemory


def _process_busy(nvml: Any, gpu: Any) -> Values:
    """The newest sample of each process; the driver keeps old ones too, of processes that are gone."""
    newest: dict[int, Any] = {}
    since_us = time.time_ns() // 1000 - _RECENT_US
    for sample in nvml.nvmlDeviceGetProcessUtilization(gpu, since_us):
        if sample.pid not in newest or sample.timeStamp > newest[sample.pid].timeStamp:
            newest[sample.pid] = sample
    for pid, sample in newest.items():
        yield f"process_utilisation_percent.{pid}", sample.smUtil


GPU = (
    Ask("utilisation", True, _busy),
    Ask("power", True, _power),
    Ask("an energy counter", True, _energy),
    Ask("memory", False, _memory),
    Ask("a power limit", False, _power_limit),
    Ask("temperature", False, _temperature),
    Ask("SM clock", False, _sm_clock),
    Ask("memory clock", False, _memory_clock),
    Ask("throttle reasons", False, _throttling),
    Ask("PCIe throughput", False, _pcie),
    Ask("NVLink throughput", False, _nvlink),
    Ask("processes", False, _processes),
    Ask("utilisation per process", False, _process_busy),
)
# Power, heat and clocks are those of the whole GPU: asking a slice for them would count them twice.
MIG = (Ask("memory", False, _memory), Ask("processes", False, _processes))
