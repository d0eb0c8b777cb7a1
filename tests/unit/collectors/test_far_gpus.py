from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from nvml_fake import FakeNvml
from pages_served import DCGM, DCGM_MIG, TRITON, Served

from loadlab import collectors
from loadlab.collectors import Collector
from loadlab.collectors.agent import GpuAgent
from loadlab.collectors.clock_offset import ClockOffset
from loadlab.collectors.far_gpus import gpus_of
from loadlab.core.clock import anchor, now_ns
from loadlab.core.nouns import Reading

MS = 1_000_000
TOKEN = "let-me-read"


async def listening(app: web.Application, port: int) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def beside_an_agent(
    port: int,
    story: Callable[[FakeNvml], Awaitable[Any]],
    library: FakeNvml | None = None,
    token: str | None = None,
) -> Any:
    """Runs a story while an agent with a fake of NVML listens on a real socket."""

    async def told() -> Any:
        own = library or FakeNvml()
        runner = await listening(GpuAgent(collectors.nvml(own), token).app(), port)
        try:
            return await story(own)
        finally:
            await runner.cleanup()

    return asyncio.run(told())


def test_a_run_reads_an_agent_at_the_agents_own_pace(free_port: int) -> None:
    async def story(_: FakeNvml) -> tuple[list[Reading], list[str], int, int]:
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}", TOKEN)
        assert await far.open() is None
        began = now_ns()
        found = []
        for _ in range(3):
            await asyncio.sleep(0.4)
            found += await far.read()
        ended = now_ns()
        await far.close()
        return found, far.notes, began, ended

    found, notes, began, ended = beside_an_agent(free_port, story, token=TOKEN)
    power = [row for row in found if (row.device, row.metric) == (f"127.0.0.1:{free_port}/gpu0", "power_w")]
    assert {(row.source, row.value) for row in power} == {("nvml", 412.345)}
    assert 8 <= len(power) <= 13
    assert len({row.at_ns for row in power}) == len(power)
    assert all(began - 20 * MS <= row.at_ns <= ended for row in power)
    assert any(row.metric == "temperature_c" for row in found)
    clock = {row.metric: row.value for row in found if row.source == "clock"}
    assert abs(clock["ahead_ms"]) < 50
    assert 0 < clock["error_ms"] < 50
    assert len(notes) == 1
    assert "moved to ours, to within" in notes[0]


def test_an_agent_asks_for_its_token(free_port: int) -> None:
    async def story(_: FakeNvml) -> list[str | None]:
        said = []
        for given in (None, "guess", TOKEN[:-1], TOKEN):
            far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}", given)
            said.append(await far.open())
            await far.close()
        async with aiohttp.ClientSession() as session:
            for path in ("/metrics", "/clock", "/readings"):
                async with session.get(f"http://127.0.0.1:{free_port}{path}") as response:
                    assert response.status == 401
        return said

    *refused, accepted = beside_an_agent(free_port, story, token=TOKEN)
    assert accepted is None
    assert all(said and "HTTP 401: the token is not accepted" in said for said in refused)


def test_only_new_readings_are_handed_over_once(free_port: int) -> None:
    async def story(_: FakeNvml) -> list[list[Reading]]:
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}", gpus="1")
        await asyncio.sleep(0.3)
        await far.open()
        rounds = [await far.read(), await far.read()]
        await asyncio.sleep(0.25)
        rounds.append(await far.read())
        await far.close()
        return rounds

    rounds = beside_an_agent(free_port, story)
    nvml = [[row for row in found if row.source == "nvml"] for found in rounds]
    assert sum(map(len, nvml[:2])) <= 4  # one reading may fall in between
    assert len({(row.at_ns, row.metric) for found in nvml for row in found}) == sum(map(len, nvml))
    assert {row.device.partition("/")[2] for found in nvml for row in found} == {"gpu1"}


def test_what_the_agents_gpus_lack_is_told_here(free_port: int) -> None:
    async def story(_: FakeNvml) -> Collector:
        await asyncio.sleep(0.15)
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}")
        await far.open()
        await far.close()
        return far

    notes = beside_an_agent(free_port, story, FakeNvml(poor=(1,))).notes
    assert "gpu1 does not give an energy counter (Not Supported)" in notes[0]


def test_an_agent_without_a_gpu_says_so(free_port: int) -> None:
    async def story(_: FakeNvml) -> str | None:
        return await collectors.remote_gpus(f"http://127.0.0.1:{free_port}").open()

    said = beside_an_agent(free_port, story, FakeNvml(gpus=0))
    assert "reads no GPU: the NVIDIA driver knows no GPU" in said


def test_an_agent_that_dies_is_a_gap_and_one_that_starts_again_is_followed(free_port: int) -> None:
    async def story() -> tuple[list[int], list[str]]:
        runner = await listening(GpuAgent(collectors.nvml(FakeNvml())).app(), free_port)
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}")
        assert await far.open() is None
        await asyncio.sleep(0.3)
        counts = [len(await far.read())]
        await runner.cleanup()
        counts.append(len(await far.read()))
        runner = await listening(GpuAgent(collectors.nvml(FakeNvml())).app(), free_port)
        await asyncio.sleep(0.3)
        counts.append(len(await far.read()))
        await far.close()
        await runner.cleanup()
        return counts, far.notes

    (before, dead, after), notes = asyncio.run(story())
    assert before > 0
    assert dead == 0
    assert after > 0
    assert sum("no connection" in note for note in notes) == 1
    assert sum("was started again" in note for note in notes) == 1


@pytest.mark.parametrize(
    "body",
    [
        "<html>", "[]", '{"agent": 1}', '{"agent": "x", "utc_ns": "now"}',
        '{"agent":"x","utc_ns":1,"readings":[["1","gpu0","power_w",1]],"next":1,"notes":[],"absent":""}',
        '{"agent":"x","utc_ns":1,"readings":[[1,"gpu0","power_w",NaN]],"next":1,"notes":[],"absent":""}',
        '{"agent":"x","utc_ns":1,"readings":[[1,"gpu0","power_w"]],"next":1,"notes":[],"absent":""}',
    ],
)  # fmt: skip
def test_what_is_no_agent_is_a_sentence_and_no_reading(free_port: int, body: str) -> None:
    async def story() -> tuple[str | None, list[Reading], list[str]]:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=body)

        app = web.Application()
        app.router.add_get("/{any:.*}", answer)
        runner = await listening(app, free_port)
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}")
        said = await far.open()
        readings = [] if said else await far.read()
        await far.close()
        await runner.cleanup()
        return said, readings, far.notes

    said, readings, notes = asyncio.run(story())
    assert readings == []
    assert "not a page of that kind" in (said or notes[0])


def test_the_agents_page_is_read_by_prometheus_and_by_us(free_port: int) -> None:
    async def story(_: FakeNvml) -> tuple[str, list[Reading]]:
        await asyncio.sleep(0.15)
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{free_port}/metrics") as response,
        ):
            page = await response.text()
        far = collectors.remote_gpus(f"http://127.0.0.1:{free_port}/metrics")
        assert await far.open() is None
        readings = await far.read()
        await far.close()
        return page, readings

    page, readings = beside_an_agent(free_port, story, FakeNvml(mig=(1,)))
    assert 'loadlab_gpu_power_w{gpu="gpu0"} 412.345' in page
    assert 'loadlab_gpu_memory_used_bytes{gpu="gpu1.mig2"} 9042395136.0' in page
    assert "process" not in page
    values = {(row.device, row.metric): row.value for row in readings}
    assert values[(f"127.0.0.1:{free_port}/gpu0", "power_w")] == 412.345


def test_pages_of_dcgm_and_triton_come_in_our_names_and_units() -> None:
    assert gpus_of(DCGM) == {
        "gpu0": {
            "sm_clock_mhz": 1215.0, "memory_clock_mhz": 1593.0, "temperature_c": 61.0, "power_w": 409.692,
            "energy_j": pytest.approx(319159.391), "utilisation_percent": 98.0,
            "memory_used_bytes": 4845.0 * 2**20,
        }
    }  # fmt: skip
    assert gpus_of(TRITON) == {
        "gpu0": {
            "utilisation_percent": 93.0, "memory_total_bytes": 16945512448.0, "power_w": 55.137,
            "memory_used_bytes": 974913536.0, "power_limit_w": 300.0, "energy_j": 9380.053,
        },
        "gpu1": {"utilisation_percent": 0.0},
    }  # fmt: skip


def test_blank_values_of_dcgm_are_no_readings() -> None:
    blank = DCGM.replace("409.692000", "2147483632").replace("} 98\n", "} 9223372036854775794\n")
    assert gpus_of(blank)["gpu0"].keys() == {
        "sm_clock_mhz", "memory_clock_mhz", "temperature_c", "energy_j", "memory_used_bytes"
    }  # fmt: skip


def test_power_of_a_sliced_gpu_counts_once() -> None:
    assert gpus_of(DCGM_MIG) == {
        "gpu1": {"power_w": 300.5},
        "gpu1.mig7": {"memory_used_bytes": 100.0 * 2**20},
        "gpu1.mig8": {"memory_used_bytes": 200.0 * 2**20},
    }


def paged(port: int, *pages: str | int, gpus: str | None = None) -> tuple[list[int], list[str]]:
    """How many readings each page in turn gives; a number is an HTTP status."""

    async def story() -> tuple[list[int], list[str]]:
        served = Served(str(pages[0]))
        runner = await served.start(port)
        far = collectors.remote_gpus(f"http://127.0.0.1:{port}/metrics", gpus=gpus)
        assert await far.open() is None
        counts = []
        for page in pages:
            served.status, served.page = (page, "") if isinstance(page, int) else (200, page)
            counts.append(len(await far.read()))
        await far.close()
        await runner.cleanup()
        return counts, far.notes

    return asyncio.run(story())


def test_a_page_that_was_not_renewed_is_no_new_reading(free_port: int) -> None:
    renewed = DCGM.replace("319159391", "319560000")
    assert paged(free_port, DCGM, DCGM, renewed, DCGM_MIG, DCGM_MIG) == ([7, 0, 7, 3, 0], [])


def test_a_page_that_fails_is_a_gap_said_once(free_port: int) -> None:
    counts, notes = paged(free_port, DCGM, 500, 500, DCGM.replace("409.692", "400.1"))
    assert counts == [7, 0, 0, 7]
    assert len(notes) == 1
    assert "HTTP 500" in notes[0]


def test_a_page_without_the_gpus_asked_for_says_so(free_port: int) -> None:
    async def story(gpus: str | None, page: str) -> str | None:
        runner = await Served(page).start(free_port)
        said = await collectors.remote_gpus(f"http://127.0.0.1:{free_port}/metrics", gpus=gpus).open()
        await runner.cleanup()
        return said

    for gpus, page in (("3", DCGM), (None, "up 1\n")):
        said = asyncio.run(story(gpus, page))
        assert said is not None
        assert "names no GPU that was asked for" in said


def test_the_quickest_answer_sets_the_clock() -> None:
    clock = ClockOffset()
    assert clock.best(0) is None
    ahead = 7_000_000_000
    for sent, there, back in ((0, 40, 1), (1000, 1, 2), (2000, 3, 90)):
        clock.add(sent * MS, (sent + there) * MS + ahead, (sent + there + back) * MS)
    found = clock.best(2100 * MS)
    assert found is not None
    offset, error = found
    assert abs(offset - ahead) <= error
    assert error == pytest.approx(1.5 * MS + 100e-6 * (2100 - 1003) * MS)


@pytest.mark.parametrize(("there_ms", "back_ms"), [(0, 9), (9, 0), (3, 3), (0.1, 40)])
def test_the_error_bound_holds_however_lopsided_the_way(there_ms: float, back_ms: float) -> None:
    clock, ahead = ClockOffset(), -123_456_789
    for start in range(0, 10**9, 10**8):
        received = start + round((there_ms + back_ms) * MS)
        clock.add(start, start + round(there_ms * MS) + ahead, received)
    found = clock.best(10**9)
    assert found is not None
    assert abs(found[0] - ahead) <= found[1] + 1


def test_a_clock_shows_its_lead_over_utc() -> None:
    clock = ClockOffset()
    mono, utc = anchor()
    clock.add(mono, utc + 250 * MS, mono)
    found = clock.best(mono)
    assert found is not None
    assert clock.ahead_of_utc_ns(found[0]) / MS == pytest.approx(250, abs=5)
