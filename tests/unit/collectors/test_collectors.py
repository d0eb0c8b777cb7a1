from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from loadlab import collectors
from loadlab.collectors import Collector, exporter
from loadlab.core.errors import UnknownNameError
from loadlab.core.nouns import Reading

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="tiny"} 3.0
vllm:num_requests_running{engine="1",model_name="tiny"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="tiny"} 7.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="tiny"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="tiny"} 0.5
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="tiny"} 1.0e+03
vllm:prompt_tokens_created{engine="0",model_name="tiny"} 1.78e+09
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="tiny"} 250.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.1"} 4.0
vllm:time_to_first_token_seconds_sum 0.3
"""
SGLANG = """\
sglang:num_running_reqs{model_name="m"} 4
sglang:num_queue_reqs{model_name="m"} 1
sglang:token_usage{model_name="m"} 0.125
sglang:prompt_tokens_total{model_name="m"} 10
sglang:generation_tokens_total{model_name="m"} 20
"""
TGI = """\
tgi_batch_current_size 4
tgi_queue_size 1
tgi_request_input_length_sum 10
tgi_request_input_length_count 2
tgi_request_generated_tokens_sum 20
tgi_request_generated_tokens_bucket{le="1"} 0
"""
LLAMA_CPP = """\
llamacpp:requests_processing 4
llamacpp:requests_deferred 1
llamacpp:prompt_tokens_total 10
llamacpp:prompt_tokens_seconds 900
llamacpp:tokens_predicted_total 20
"""
SAME = {"running": 4.0, "waiting": 1.0, "prompt_tokens": 10.0, "generation_tokens": 20.0}


def by_metric(readings: list[Reading]) -> dict[tuple[str, str], float]:
    return {(reading.device, reading.metric): reading.value for reading in readings}


def test_a_vllm_page_is_summed_over_engines_and_shows_the_fullest_cache() -> None:
    assert exporter.parse(VLLM) == {
        "running": 5.0,
        "waiting": 7.0,
        "kv_cache_use": 0.5,
        "prompt_tokens": 1000.0,
        "generation_tokens": 250.0,
    }


@pytest.mark.parametrize(
    ("page", "values"),
    [(SGLANG, {**SAME, "kv_cache_use": 0.125}), (TGI, SAME), (LLAMA_CPP, SAME), ("other 1\n", {}), ("", {})],
)
def test_every_server_comes_under_the_same_names(page: str, values: dict[str, float]) -> None:
    assert exporter.parse(page) == values


def test_what_is_not_a_number_is_left_out() -> None:
    assert exporter.parse("vllm:kv_cache_usage_perc NaN\nvllm:num_requests_running 1\n") == {"running": 1.0}


class Exporter:
    """A server's metrics page on a real socket, which can be made to misbehave or stop."""

    def __init__(self, page: str = VLLM) -> None:
        self.page, self.status = page, 200

    async def answer(self, _: web.Request) -> web.Response:
        return web.Response(text=self.page, status=self.status)

    async def start(self, port: int) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/metrics", self.answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner


def test_scrape_reads_a_living_server_and_leaves_a_gap_for_a_dead_one(free_port: int) -> None:
    async def story() -> None:
        server = Exporter()
        runner = await server.start(free_port)
        scrape = collectors.scrape(f"http://127.0.0.1:{free_port}/metrics")
        assert await scrape.open() is None
        readings = await scrape.read()
        assert by_metric(readings)[(f"127.0.0.1:{free_port}", "running")] == 5.0
        assert {reading.source for reading in readings} == {"server"}
        await runner.cleanup()
        assert await scrape.read() == []
        assert await scrape.read() == []
        assert len(scrape.notes) == 1
        assert "gap" in scrape.notes[0]
        runner = await server.start(free_port)
        assert len(await scrape.read()) == 5
        await scrape.close()
        await runner.cleanup()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("page", "status", "said"), [(VLLM, 404, "HTTP 404"), ("vllm:num_requests_running {", 200, "not a Prom")]
)
def test_scrape_says_why_a_page_cannot_be_read(free_port: int, page: str, status: int, said: str) -> None:
    async def story() -> tuple[list[Reading], list[str]]:
        server = Exporter()
        runner = await server.start(free_port)
        scrape = collectors.scrape(f"http://127.0.0.1:{free_port}/metrics")
        assert await scrape.open() is None
        server.page, server.status = page, status
        readings = await scrape.read()
        await scrape.close()
        await runner.cleanup()
        return readings, scrape.notes

    readings, notes = asyncio.run(story())
    assert readings == []
    assert len(notes) == 1
    assert said in notes[0]


def test_scrape_of_nobody_and_of_a_wrong_path_says_so_when_opened(free_port: int) -> None:
    async def story() -> list[str | None]:
        nobody = await collectors.scrape(f"http://127.0.0.1:{free_port}/metrics").open()
        runner = await Exporter().start(free_port)
        wrong = await collectors.scrape(f"http://127.0.0.1:{free_port}/prometheus").open()
        await runner.cleanup()
        return [nobody, wrong]

    nobody, wrong = asyncio.run(story())
    assert nobody is not None
    assert "no connection" in nobody
    assert wrong is not None
    assert "HTTP 404" in wrong


def test_scrape_notes_a_page_without_any_known_metric(free_port: int) -> None:
    async def story() -> list[str]:
        runner = await Exporter("process_cpu_seconds_total 3\n").start(free_port)
        scrape = collectors.scrape(f"http://127.0.0.1:{free_port}/metrics")
        await scrape.open()
        assert await scrape.read() == []
        await scrape.close()
        await runner.cleanup()
        return scrape.notes

    assert "no metric of a known server" in asyncio.run(story())[0]


class FakeNvmlError(Exception):
    pass


class FakeNvml:
    """Answers as an H100 did, the second GPU as one in MIG mode: no utilisation, no clock."""

    NVMLError = FakeNvmlError
    NVML_TEMPERATURE_GPU, NVML_CLOCK_SM = 0, 1

    def __init__(self, gpus: int = 2) -> None:
        self.gpus, self.lost, self.shut = gpus, False, False

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.shut = True

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.gpus

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:  # noqa: N802
        return SimpleNamespace(gpu=self._answer(97, refused=gpu == 1), memory=41)

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:  # noqa: N802
        return SimpleNamespace(total=self._answer(85899345920), used=74239180800, free=11660165120)

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:  # noqa: N802
        return self._answer(412345)

    def nvmlDeviceGetTotalEnergyConsumption(self, gpu: int) -> int:  # noqa: N802
        return self._answer(98765432)

    def nvmlDeviceGetTemperature(self, gpu: int, sensor: int) -> int:  # noqa: N802
        assert sensor == self.NVML_TEMPERATURE_GPU
        return self._answer(61)

    def nvmlDeviceGetClockInfo(self, gpu: int, clock: int) -> int:  # noqa: N802
        assert clock == self.NVML_CLOCK_SM
        return self._answer(1980, refused=gpu == 1)

    def _answer(self, value: int, *, refused: bool = False) -> int:
        if self.lost:
            raise FakeNvmlError("GPU is lost")
        if refused:
            raise FakeNvmlError("Not Supported")
        return value


def test_nvml_reads_every_gpu_in_units_of_our_own() -> None:
    async def story() -> list[Reading]:
        nvml = collectors.nvml(FakeNvml())
        assert await nvml.open() is None
        return await nvml.read()

    readings = by_metric(asyncio.run(story()))
    assert {metric: value for (device, metric), value in readings.items() if device == "gpu0"} == {
        "utilisation_percent": 97.0,
        "memory_used_bytes": 74239180800.0,
        "memory_total_bytes": 85899345920.0,
        "power_w": 412.345,
        "energy_j": 98765.432,
        "temperature_c": 61.0,
        "sm_clock_mhz": 1980.0,
    }
    assert readings[("gpu1", "power_w")] == 412.345


def test_nvml_leaves_out_what_a_gpu_does_not_offer_and_says_it_once() -> None:
    async def story() -> Collector:
        nvml = collectors.nvml(FakeNvml())
        await nvml.open()
        for _ in range(3):
            offered = {metric for device, metric in by_metric(await nvml.read()) if device == "gpu1"}
            assert offered.isdisjoint({"utilisation_percent", "sm_clock_mhz"})
        return nvml

    assert asyncio.run(story()).notes == [
        "gpu1 did not give utilisation_percent (Not Supported), sm_clock_mhz (Not Supported)."
    ]


def test_nvml_survives_the_loss_of_its_gpus() -> None:
    async def story() -> tuple[list[Reading], list[str], bool]:
        library = FakeNvml(gpus=1)
        nvml = collectors.nvml(library)
        await nvml.open()
        library.lost = True
        readings = await nvml.read()
        await nvml.close()
        return readings, nvml.notes, library.shut

    readings, notes, shut = asyncio.run(story())
    assert readings == []
    assert "GPU is lost" in notes[0]
    assert shut


def test_nvml_without_a_gpu_is_a_sentence() -> None:
    said = asyncio.run(collectors.nvml(FakeNvml(gpus=0)).open())
    assert said is not None
    assert "no GPU" in said


def test_nvml_without_a_driver_is_a_sentence_and_closes_quietly() -> None:
    import pynvml

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
def test_nvml_reads_a_real_gpu() -> None:
    async def story() -> tuple[str | None, list[Reading]]:
        nvml = collectors.nvml()
        if (said := await nvml.open()) is not None:
            return said, []
        readings = await nvml.read()
        await nvml.close()
        return None, readings

    said, readings = asyncio.run(story())
    if said:
        pytest.skip(said)
    values = {metric: value for (device, metric), value in by_metric(readings).items() if device == "gpu0"}
    assert 0 <= values["utilisation_percent"] <= 100
    assert 0 < values["memory_used_bytes"] < values["memory_total_bytes"]
    assert 1 < values["power_w"] < 2000


def test_the_host_is_read_without_a_false_zero() -> None:
    async def story() -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], float]]:
        host = collectors.host()
        assert await host.open() is None
        at_once = by_metric(await host.read())
        await asyncio.sleep(0.25)
        return at_once, by_metric(await host.read())

    at_once, later = asyncio.run(story())
    assert {metric for _, metric in later} - {metric for _, metric in at_once} == {
        "cpu_percent",
        "busiest_core_percent",
    }
    values = {metric: value for (_, metric), value in later.items()}
    assert 0 <= values["cpu_percent"] <= values["busiest_core_percent"] <= 100
    assert 0 < values["memory_used_bytes"] < values["memory_total_bytes"]
    assert values["load_1m"] >= 0


@pytest.mark.parametrize(
    "collector",
    [collectors.host(), collectors.nvml(FakeNvml()), collectors.scrape("http://127.0.0.1:1/metrics")],
    ids=lambda collector: collector.name,
)
def test_every_collector_keeps_the_contract(collector: Collector) -> None:
    assert collector.period_s > 0
    assert collector.notes == []
    for method in ("open", "read", "close"):
        assert inspect.iscoroutinefunction(getattr(collector, method))


def test_an_unknown_collector_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'nvml'"):
        collectors.get("nvlm")


def test_a_hanging_exporter_ends_in_time(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> str | None:
        held = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await held.wait()
            writer.close()

        server = await asyncio.start_server(hang, "127.0.0.1", free_port)
        said = await collectors.scrape(f"http://127.0.0.1:{free_port}/metrics").open()
        held.set()
        server.close()
        await server.wait_closed()
        return said

    monkeypatch.setattr(exporter, "_TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    said = asyncio.run(story())
    assert said is not None
    assert "no answer within 0.2 s" in said
