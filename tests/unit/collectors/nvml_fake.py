"""A stand-in for pynvml: answers in the shapes and with the errors of the real one, nothing computed.

Errors and constants are pynvml's own. Two H100s; the second can be in MIG mode, or a poor relation without
energy counter, NVLink and the rest.
"""

from __future__ import annotations

import time
from ctypes import c_ulonglong
from types import SimpleNamespace
from typing import Any

import pynvml

NOT_SUPPORTED = pynvml.NVML_ERROR_NOT_SUPPORTED


class FakeNvml:
    """`calls` counts every question, `lost` makes every GPU fail, `mig` and `poor` name GPUs of that kind."""

    def __init__(self, gpus: int = 2, *, mig: tuple[int, ...] = (), poor: tuple[int, ...] = ()) -> None:
        self.gpus, self.mig, self.poor = gpus, mig, poor
        self.lost = self.shut = False
        self.watt, self.began = 412.345, time.perf_counter()
        self.calls: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("NVML", "c_nvml")):
            return getattr(pynvml, name)
        raise AttributeError(name)

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut = True

    def nvmlDeviceGetName(self, gpu: int) -> str:  # noqa: N802
        return "NVIDIA H100 80GB HBM3"

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return "570.124.06"

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMigMode(self, gpu: int) -> list[int]:  # noqa: N802
        return [int(gpu in self.mig)] * 2

    def nvmlDeviceGetMaxMigDeviceCount(self, gpu: int) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, gpu: int, place: int) -> tuple[int, int]:  # noqa: N802
        if place not in (0, 2):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return gpu, place

    def nvmlDeviceGetUtilizationRates(self, gpu: Any) -> Any:  # noqa: N802
        self._ask("utilisation", gpu, refused=gpu in self.mig)
        return SimpleNamespace(gpu=97, memory=41)

    def nvmlDeviceGetMemoryInfo(self, gpu: Any) -> Any:  # noqa: N802
        self._ask("memory", gpu)
        if isinstance(gpu, tuple):
            return SimpleNamespace(total=10468982784, used=9042395136, free=1426587648)
        return SimpleNamespace(total=85899345920, used=74239180800, free=11660165120)

    def nvmlDeviceGetPowerUsage(self, gpu: Any) -> int:  # noqa: N802
        self._ask("power", gpu)
        return round(self.watt * 1000)

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: Any) -> int:  # noqa: N802
        self._ask("energy", gpu, refused=gpu in self.poor)
        return 98765432 + round(self.watt * 1000 * (time.perf_counter() - self.began))

    def nvmlDeviceGetEnforcedPowerLimit(self, gpu: Any) -> int:  # noqa: N802
        self._ask("limit", gpu)
        return 700000

    def nvmlDeviceGetTemperature(self, gpu: Any, sensor: int) -> int:  # noqa: N802
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        self._ask("temperature", gpu)
        return 61

    def nvmlDeviceGetClockInfo(self, gpu: Any, clock: int) -> int:  # noqa: N802
        self._ask("clock", gpu)
        return {pynvml.NVML_CLOCK_SM: 1980, pynvml.NVML_CLOCK_MEM: 2619}[clock]

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, gpu: Any) -> int:  # noqa: N802
        self._ask("throttle", gpu)
        return int(pynvml.nvmlClocksThrottleReasonSwPowerCap) if gpu == 0 else 1

    def nvmlDeviceGetPcieThroughput(self, gpu: Any, way: int) -> int:  # noqa: N802
        self._ask("pcie", gpu, refused=gpu in self.poor)
        return (51200, 20480)[way]

    def nvmlDeviceGetFieldValues(self, gpu: Any, fields: Any) -> Any:  # noqa: N802
        self._ask("nvlink", gpu)
        answers = (pynvml.c_nvmlFieldValue_t * len(fields))()
        for answer, (field, scope) in zip(answers, fields, strict=True):
            assert scope == 0xFFFFFFFF
            answer.fieldId, answer.nvmlReturn = field, NOT_SUPPORTED if gpu in self.poor else 0
            answer.value.ullVal = c_ulonglong(1024 * field).value
        return answers

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: Any) -> Any:  # noqa: N802
        self._ask("processes", gpu)
        return [
            SimpleNamespace(pid=4242, usedGpuMemory=73400320000),
            SimpleNamespace(pid=4243, usedGpuMemory=None),
        ]

    def nvmlDeviceGetProcessUtilization(self, gpu: Any, since: int) -> Any:  # noqa: N802
        self._ask("process utilisation", gpu, refused=gpu in self.poor)
        if gpu in self.mig:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        now_us = time.time_ns() // 1000
        samples = [
            SimpleNamespace(pid=4241, timeStamp=now_us - 60_000_000, smUtil=99),  # long gone
            SimpleNamespace(pid=4242, timeStamp=now_us - 300_000, smUtil=12),
            SimpleNamespace(pid=4242, timeStamp=now_us - 100_000, smUtil=95),
        ]
        return [sample for sample in samples if sample.timeStamp > since]

    def _ask(self, what: str, gpu: Any, *, refused: bool = False) -> None:
        name = f"{what} {gpu}"
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        if refused:
            raise pynvml.NVMLError(NOT_SUPPORTED)
