"""The NVIDIA GPUs of this host through NVML. They are the server's only when the server runs on this host.

What a GPU or its mode (MIG, vGPU) does not offer is said once and not asked again; the rest is still read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from loadlab.collectors.nvml_asks import GPU, MIG, Ask
from loadlab.core.clock import now_ns
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Reading

# NVML error codes that a later call will not change: invalid here, not supported, not permitted, not in this
# driver, deprecated.
_NEVER = (2, 3, 4, 13, 26)
# An answer of nothing: success without a sample (pynvml raises it too), not found, no data, not ready.
_NOTHING = (0, 6, 21, 27)
_SLOW_EVERY = 10


@dataclass(slots=True)
class _Device:
    name: str
    handle: Any
    asks: list[Ask]


class Nvml:
    """Power, energy and utilisation at every reading; everything else of a GPU at every tenth."""

    name = "nvml"
    period_s = 0.1
    idle_s = 2.0

    def __init__(self, library: Any = None, gpus: str | None = None) -> None:
        self.notes: list[str] = []
        self.facts: dict[str, str] = {}
        self._nvml = import_module("pynvml") if library is None else library
        self._chosen = chosen(gpus)
        self._devices: list[_Device] = []
        self._missing: dict[str, list[str]] = {}
        self._readings = 0

    async def open(self) -> str | None:
        """Finds the GPUs. Waking a sleeping driver can take seconds, so it is done in a thread."""
        return await asyncio.to_thread(self._open)

    async def read(self) -> list[Reading]:
        """What the GPUs say now; those whose driver fails are left out."""
        return await asyncio.to_thread(self._read)

    async def close(self) -> None:
        """Lets go of the driver."""
        with suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()

    def _open(self) -> str | None:
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            return f"no NVIDIA driver answers here ({error}), so there are no GPU readings."
        try:
            self._devices = list(self._found(self._nvml.nvmlDeviceGetCount()))
        except self._nvml.NVMLError as error:
            return f"the NVIDIA driver does not give its GPUs ({error}), so there are no GPU readings."
        if not self._devices:
            which = "no GPU" if self._chosen is None else f"no GPU of --gpus {_listed(self._chosen)}"
            return f"the NVIDIA driver knows {which}, so there are no GPU readings."
        self._learn_facts()
        return None

    def _learn_facts(self) -> None:
        """What the GPUs are called, each name once, and the driver's version."""
        nvml = self._nvml
        with suppress(nvml.NVMLError):
            whole = [device.handle for device in self._devices if ".mig" not in device.name]
            names = dict.fromkeys(str(nvml.nvmlDeviceGetName(handle)) for handle in whole)
            self.facts["gpu"] = ", ".join(names)
        with suppress(nvml.NVMLError):
            self.facts["driver"] = str(nvml.nvmlSystemGetDriverVersion())

    def _found(self, count: int) -> Iterator[_Device]:
        for index in range(count):
            if self._chosen is None or index in self._chosen:
                try:
                    gpu = self._nvml.nvmlDeviceGetHandleByIndex(index)
                except self._nvml.NVMLError as error:
                    self._note(f"gpu{index} is not given by the driver ({error}), so it is not read.")
                    continue
                yield _Device(f"gpu{index}", gpu, list(GPU))
                yield from self._slices(index, gpu)

    def _slices(self, index: int, gpu: Any) -> Iterator[_Device]:
        """The MIG devices of a GPU; their numbers may have holes."""
        nvml = self._nvml
        try:
            if nvml.nvmlDeviceGetMigMode(gpu)[0] != nvml.NVML_DEVICE_MIG_ENABLE:
                return
            places = range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu))
        except nvml.NVMLError:  # a GPU that knows no MIG
            return
        for place in places:
            with suppress(nvml.NVMLError):
                handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, place)
                yield _Device(f"gpu{index}.mig{place}", handle, list(MIG))

    def _read(self) -> list[Reading]:
        turn, self._readings = self._readings, self._readings + 1
        found: list[Reading] = []
        for place, device in enumerate(self._devices):
            # One device's slow asks per reading: together they would hold up the power samples.
            slow = turn == 0 or turn % _SLOW_EVERY == place % _SLOW_EVERY
            found.extend(self._of(device, slow))
        self._note_missing()
        return found

    def _of(self, device: _Device, slow: bool) -> Iterator[Reading]:
        for ask in tuple(device.asks):
            if not (slow or ask.fast):
                continue
            at_ns = now_ns()
            try:
                for metric, value in ask.of(self._nvml, device.handle):
                    yield Reading(at_ns, self.name, device.name, metric, float(value))
            except self._nvml.NVMLError as error:
                self._refused(device, ask, error)

    def _refused(self, device: _Device, ask: Ask, error: Any) -> None:
        code = getattr(error, "value", None)
        if code in _NOTHING:
            return
        if code in _NEVER:
            device.asks.remove(ask)
            self._missing.setdefault(device.name, []).append(f"{ask.gives} ({error})")
        else:
            self._note(f"{device.name} failed to give {ask.gives} ({error}): its readings have a gap.")

    def _note_missing(self) -> None:
        """One sentence per device, not one per metric."""
        for device, missing in self._missing.items():
            self._note(f"{device} does not give {', '.join(missing)}.")
        self._missing.clear()

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def chosen(gpus: str | None) -> frozenset[int] | None:
    """The GPU numbers in a list like "0,1"; None stands for all. Raises UsageError."""
    if gpus is None:
        return None
    try:
        return frozenset(int(part) for part in gpus.split(","))
    except ValueError as error:
        raise UsageError(f"--gpus '{gpus}' is not a list of GPU numbers; write it like 0,1.") from error


def _listed(numbers: frozenset[int]) -> str:
    return ",".join(map(str, sorted(numbers)))
