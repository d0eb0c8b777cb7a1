from __future__ import annotations

import asyncio
from typing import Any

import pynvml
import pytest
from nvml_fake import FakeNvml

from loadlab import collectors
from loadlab.collectors import Collector
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Reading


def by_metric(readings: list[Reading]) -> dict[tuple[str, str], float]:
    return {(reading.device, reading.metric): reading.value for reading in readings}


def read(library: Any, times: int = 1, gpus: str | None = None) -> tuple[Collector, list[list[Reading]]]:
    async def story() -> tuple[Collector, list[list[Reading]]]:
        nvml = collectors.nvml(library, gpus)
        assert await nvml.open() is None
        return nvml, [await nvml.read() for _ in range(times)]

    return asyncio.run(story())


def test_a_gpu_is_read_in_units_of_our_own() -> None:
    _, (readings,) = read(FakeNvml())
    values = {metric: value for (device, metric), value in by_metric(readings).items() if device == "gpu0"}
    assert 98765.432 <= values.pop("energy_j") < 98765.432 + 60 * 412
    assert values == {
        "utilisation_percent": 97.0,
        "memory_busy_percent": 41.0,
        "power_w": 412.345,
        "memory_used_bytes": 74239180800.0,
        "memory_total_bytes": 85899345920.0,
        "power_limit_w": 700.0,
        "temperature_c": 61.0,
        "sm_clock_mhz": 1980.0,
        "memory_clock_mhz": 2619.0,
        "throttled_by_power": 1.0,
        "throttled_by_heat": 0.0,
        "throttled_otherwise": 0.0,
        "pcie_tx_bytes_per_s": 51200000.0,
        "pcie_rx_bytes_per_s": 20480000.0,
        "nvlink_tx_bytes": 138 * 1024.0**2,
        "nvlink_rx_bytes": 139 * 1024.0**2,
        "process_memory_bytes.4242": 73400320000.0,
        "process_utilisation_percent.4242": 95.0,
    }
    assert by_metric(readings)[("gpu1", "throttled_by_power")] == 0.0


def test_power_is_read_every_time_and_the_rest_once_in_ten() -> None:
    library = FakeNvml()
    _, rounds = read(library, times=20)
    assert library.calls["power 0"] == library.calls["energy 1"] == 20
    assert library.calls["temperature 0"] == 2
    assert library.calls["pcie 1"] == 2 * 3
    assert {reading.metric for reading in rounds[5]} == {
        "utilisation_percent", "memory_busy_percent", "power_w", "energy_j"
    }  # fmt: skip


def test_what_a_gpu_does_not_offer_is_said_once_and_never_asked_again() -> None:
    library = FakeNvml(poor=(1,))
    nvml, rounds = read(library, times=40)
    assert nvml.notes == [
        "gpu1 does not give an energy counter (Not Supported), PCIe throughput (Not Supported), "
        "NVLink throughput (Not Supported), utilisation per process (Not Supported)."
    ]
    assert library.calls["energy 1"] == library.calls["pcie 1"] == library.calls["nvlink 1"] == 1
    assert library.calls["power 1"] == 40
    assert not any(
        reading.device == "gpu1" and reading.metric == "energy_j"
        for readings in rounds
        for reading in readings
    )


def test_slices_have_memory_of_their_own_and_power_is_the_whole_gpus() -> None:
    nvml, (readings,) = read(FakeNvml(mig=(1,)))
    values = by_metric(readings)
    assert {device for device, _ in values} == {"gpu0", "gpu1", "gpu1.mig0", "gpu1.mig2"}
    assert values[("gpu1.mig2", "memory_used_bytes")] == 9042395136.0
    assert [device for device, metric in values if metric == "power_w"] == ["gpu0", "gpu1"]
    assert ("gpu1", "utilisation_percent") not in values
    assert nvml.notes == ["gpu1 does not give utilisation (Not Supported)."]


def test_only_the_chosen_gpus_are_read() -> None:
    _, (readings,) = read(FakeNvml(gpus=4), gpus="1,3")
    assert {reading.device for reading in readings} == {"gpu1", "gpu3"}
    said = asyncio.run(collectors.nvml(FakeNvml(), gpus="7").open())
    assert said is not None
    assert "no GPU of --gpus 7" in said
    with pytest.raises(UsageError, match="0,1"):
        collectors.nvml(FakeNvml(), gpus="first")


def test_a_lost_gpu_is_a_gap_said_once_and_comes_back() -> None:
    async def story() -> tuple[list[list[Reading]], list[str], bool]:
        library = FakeNvml(gpus=1)
        nvml = collectors.nvml(library)
        await nvml.open()
        rounds = [await nvml.read()]
        library.lost = True
        rounds += [await nvml.read() for _ in range(12)]
        library.lost = False
        rounds += [await nvml.read()]
        await nvml.close()
        return rounds, nvml.notes, library.shut

    rounds, notes, shut = asyncio.run(story())
    assert rounds[1:13] == [[]] * 12
    assert len(rounds[13]) == 4
    assert "gpu0 failed to give power (GPU is lost): its readings have a gap." in notes
    assert len(notes) == len(set(notes))
    assert shut


def test_no_sample_of_a_process_is_no_refusal() -> None:
    class Quiet(FakeNvml):
        def nvmlDeviceGetProcessUtilization(self, gpu: Any, since: int) -> Any:  # noqa: N802
            self._ask("process utilisation", gpu)
            raise pynvml.NVMLError(pynvml.NVML_SUCCESS)  # as pynvml does when there is none

    library = Quiet(gpus=1)
    nvml, _ = read(library, times=21)
    assert nvml.notes == []
    assert library.calls["process utilisation 0"] == 3


def test_a_gpu_that_the_driver_keeps_back_costs_no_other() -> None:
    class Broken(FakeNvml):
        def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
            if index == 0:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
            return index

    nvml, (readings,) = read(Broken())
    assert {reading.device for reading in readings} == {"gpu1"}
    assert "gpu0 is not given by the driver (GPU is lost)" in nvml.notes[0]


def test_no_gpu_is_a_sentence() -> None:
    said = asyncio.run(collectors.nvml(FakeNvml(gpus=0)).open())
    assert said is not None
    assert "no GPU" in said


def test_no_driver_is_a_sentence_and_closes_quietly() -> None:
    class NoDriver:
        NVMLError = pynvml.NVMLError

        def nvmlInit(self) -> None:  # noqa: N802
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

        def nvmlShutdown(self) -> None:  # noqa: N802
            raise pynvml.NVMLError(pynvml.NVML_ERROR_UNINITIALIZED)

    async def story() -> str | None:
        nvml = collectors.nvml(NoDriver())
        said = await nvml.open()
        await nvml.close()
        return said

    said = asyncio.run(story())
    assert said is not None
    assert "no NVIDIA driver" in said


@pytest.mark.gpu
def test_a_real_gpu() -> None:
    async def story() -> tuple[str | None, list[Reading]]:
        nvml = collectors.nvml()
        if (said := await nvml.open()) is not None:
            return said, []
        readings = await nvml.read()
        await asyncio.sleep(0.5)
        readings += await nvml.read()
        await nvml.close()
        return None, readings

    said, readings = asyncio.run(story())
    if said:
        pytest.skip(said)
    values = {metric: value for (device, metric), value in by_metric(readings).items() if device == "gpu0"}
    assert 0 < values["memory_used_bytes"] < values["memory_total_bytes"]
    assert 1 < values["power_w"] < 2000


def test_the_gpus_and_their_driver_have_names() -> None:
    nvml, _ = read(FakeNvml(mig=(1,)))
    assert nvml.facts == {"gpu": "NVIDIA H100 80GB HBM3", "driver": "570.124.06"}


def test_a_driver_that_tells_no_names_is_still_read() -> None:
    class Nameless(FakeNvml):
        def nvmlDeviceGetName(self, gpu: int) -> str:  # noqa: N802
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    nvml, rounds = read(Nameless())
    assert nvml.facts == {"driver": "570.124.06"}
    assert rounds[0]
