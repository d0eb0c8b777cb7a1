from __future__ import annotations

import asyncio

import aiohttp
import pytest
from pages_served import (
    LLAMA_CPP,
    OTHER,
    SGLANG,
    TENSORRT_LLM,
    TGI,
    TRITON,
    VLLM,
    Served,
)

from loadlab import collectors
from loadlab.collectors import pages
from loadlab.core.nouns import Reading

KNOWN = [
    (
        "vllm",
        VLLM,
        {
            "running": 5.0, "waiting": 7.0, "kv_cache_use": 0.5, "prompt_tokens": 1000.0,
            "generation_tokens": 250.0, "prefix_cache_queries": 800.0, "prefix_cache_hits": 600.0,
            "preemptions": 2.0, "spec_decode_draft_tokens": 400.0, "spec_decode_accepted_tokens": 300.0,
        },
    ),
    (
        "sglang",
        SGLANG,
        {
            "running": 162.0, "waiting": 2826.0, "kv_cache_use": 0.28, "prefix_cache_hit_rate": 0.0075,
            "prompt_tokens": 8128902.0, "generation_tokens": 7557572.0, "prefix_cache_queries": 8128902.0,
            "prefix_cache_hits": 1024.0, "spec_decode_acceptance": 0.6,
        },
    ),
    ("tgi", TGI, {"running": 4.0, "waiting": 1.0, "prompt_tokens": 10.0, "generation_tokens": 20.0}),
    (
        "llama.cpp",
        LLAMA_CPP,
        {
            "running": 2.0, "waiting": 1.0, "prompt_tokens": 330713.0, "generation_tokens": 28499.0,
            "prefix_cache_hits": 669287.0, "prefix_cache_queries": 1_000_000.0,
            "spec_decode_draft_tokens": 41603.0, "spec_decode_accepted_tokens": 20187.0,
        },
    ),
    (
        "tensorrt-llm",
        TENSORRT_LLM,
        {
            "running": 3.0, "waiting": 5.0, "kv_cache_use": 0.62, "prefix_cache_hit_rate": 0.4,
            "prefix_cache_hits": 40.0, "prefix_cache_queries": 100.0,
        },
    ),
    ("triton", TRITON, {"running": 4.0, "waiting": 3.0, "kv_cache_use": 0.6}),
    (
        "triton without trt-llm",
        'nv_inference_pending_request_count{model="resnet",version="1"} 2\n',
        {"waiting": 2.0},
    ),
    ("any other", OTHER, {"queue_length": 4.0, "jobs_total": 17.0}),
]  # fmt: skip


def told(port: int, *told_pages: str | int | None) -> tuple[list[dict[str, float]], list[str]]:
    """What a scrape reads of each page in turn, and its notes; a number is a status, None a dead server."""

    async def story() -> tuple[list[dict[str, float]], list[str]]:
        served = Served(str(told_pages[0]))
        runner = await served.start(port)
        scrape = collectors.scrape(f"http://127.0.0.1:{port}/metrics")
        assert await scrape.open() is None
        found = []
        for page in told_pages:
            served.status = page if isinstance(page, int) else 200
            served.page = page if isinstance(page, str) else ""
            if page is None:
                await runner.cleanup()
            found.append({reading.metric: reading.value for reading in await scrape.read()})
            if page is None:
                runner = await served.start(port)
        await scrape.close()
        await runner.cleanup()
        return found, scrape.notes

    return asyncio.run(story())


@pytest.mark.parametrize(("page", "values"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
def test_every_server_comes_under_the_same_names(free_port: int, page: str, values: dict[str, float]) -> None:
    (found,), notes = told(free_port, page)
    assert found.pop("counter_restarts", 0.0) == 0.0
    assert found == pytest.approx(values)
    assert bool(notes) == (page is OTHER)


def test_readings_are_stamped_with_the_middle_of_the_request(free_port: int) -> None:
    async def story() -> list[Reading]:
        runner = await Served().start(free_port)
        scrape = collectors.scrape(f"http://user:secret@127.0.0.1:{free_port}/metrics")
        before = pages.now_ns()
        await scrape.open()
        readings = await scrape.read()
        assert all(before < reading.at_ns < pages.now_ns() for reading in readings)
        await scrape.close()
        await runner.cleanup()
        return readings

    assert {(each.source, each.device) for each in asyncio.run(story())} == {
        ("server", f"127.0.0.1:{free_port}")
    }


def counting(*values: tuple[int, ...]) -> list[str]:
    """Pages of a server of several engines, each at so many generated tokens."""
    return [
        "".join(f'vllm:generation_tokens_total{{engine="{at}"}} {n}\n' for at, n in enumerate(page))
        for page in values
    ]


def test_a_dead_server_is_a_gap_said_once(free_port: int) -> None:
    found, notes = told(free_port, VLLM, None, None, VLLM)
    assert [bool(values) for values in found] == [True, False, False, True]
    assert len(notes) == 1
    assert "gap" in notes[0]


def test_counters_of_several_engines_add_up_what_each_gained(free_port: int) -> None:
    found, notes = told(free_port, *counting((100, 50), (110, 70), (110, 70, 5)))
    assert [values["generation_tokens"] for values in found] == [150, 180, 185]
    assert notes == []


def test_a_counter_that_goes_back_is_no_increase_and_is_marked(free_port: int) -> None:
    """One engine restarts while the other gains more: their sum alone would look sound."""
    found, notes = told(free_port, *counting((100, 100), (110, 110), (3, 400), (13, 410)))
    assert [values["generation_tokens"] for values in found] == [200, 220, 513, 533]
    assert [values["counter_restarts"] for values in found] == [0, 0, 1, 1]
    assert len(notes) == 1
    assert "went back (1 times)" in notes[0]


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (404, "HTTP 404"),
        (401, "HTTP 401: the token is not accepted"),
        ("vllm:num_requests_running {", "not a page of that kind"),
        ("vllm:num_requests_running twelve\n", "not a page of that kind"),
        ("vllm:num_requests_running 1\n" + "x" * (17 << 20), "larger than 16 MiB"),
    ],
)
def test_a_page_that_cannot_be_read_says_why(free_port: int, page: str | int, said: str) -> None:
    found, notes = told(free_port, VLLM, page)
    assert found[1] == {}
    assert len(notes) == 1
    assert said in notes[0]


def test_what_is_not_a_number_is_left_out(free_port: int) -> None:
    (found,), _ = told(free_port, "vllm:kv_cache_usage_perc NaN\nvllm:num_requests_running 1\n")
    assert found == {"running": 1.0}


def test_what_cannot_be_is_left_out_and_said_once(free_port: int) -> None:
    lies = "vllm:kv_cache_usage_perc 73.0\nvllm:num_requests_running -1\nvllm:num_requests_waiting 2\n"
    found, notes = told(free_port, lies, lies)
    assert found == [{"waiting": 2.0}] * 2
    assert len(notes) == 2
    assert "gave 73 as kv_cache_use, which cannot be: left out." in notes[0]


def test_a_page_without_anything_is_noted(free_port: int) -> None:
    (found,), notes = told(free_port, "process_cpu_seconds_total 3\n")
    assert found == {}
    assert "no metric of a known server" in notes[0]


def test_nobody_and_a_wrong_path_are_said_when_opened(free_port: int) -> None:
    async def story() -> list[str | None]:
        nobody = await collectors.scrape(f"http://127.0.0.1:{free_port}/metrics").open()
        runner = await Served().start(free_port)
        wrong = await collectors.scrape(f"http://user:secret@127.0.0.1:{free_port}/prometheus").open()
        await runner.cleanup()
        return [nobody, wrong]

    nobody, wrong = asyncio.run(story())
    assert nobody is not None
    assert "no connection" in nobody
    assert wrong is not None
    assert "HTTP 404" in wrong
    assert "secret" not in wrong


def test_a_hanging_page_ends_in_time(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
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

    monkeypatch.setattr(pages, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    said = asyncio.run(story())
    assert said is not None
    assert "no answer within 0.2 s" in said
