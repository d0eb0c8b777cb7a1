"""Several front processes on one port: one engine, one account of it, one life."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from typing import Any

import aiohttp
import psutil
import pytest
from server_process import Server, counters, post, refused, serving, spawned, stream, talk, until

TEXT = "/v1/completions"
pytestmark = pytest.mark.torch
BODY = {"prompt": "a", "max_tokens": 8, "temperature": 0, "ignore_eos": True}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("torch", reason="needs the server extra")
    with serving("--model", "tiny", "--frontends", "2", "--max-model-len", "2000") as running:
        yield running


def children(server: Server) -> list[psutil.Process]:
    """Fronts and engine."""
    return spawned(server.process.pid)


async def alone(path: str, body: Any, server: Server) -> tuple[int, Any]:
    """One request on a connection of its own, so that the kernel chooses a front anew."""
    async with aiohttp.ClientSession(server.url) as client:
        return await post(client, path, body)


async def pages(server: Server, count: int) -> list[dict[str, float]]:
    """So many scrapes, each over its own connection."""

    async def one() -> dict[str, float]:
        async with aiohttp.ClientSession(server.url) as client:
            return await counters(client)

    return [await one() for _ in range(count)]


def test_both_fronts_serve_and_every_page_tells_of_both(server: Server) -> None:
    async def story(_: aiohttp.ClientSession) -> None:
        answers = await asyncio.gather(*(alone(TEXT, BODY, server) for _ in range(24)))
        assert [status for status, _ in answers] == [200] * 24
        assert len({answer["choices"][0]["text"] for _, answer in answers}) == 1
        for page in await pages(server, 12):
            assert page["request_success_total:length"] == 24
            assert page["generation_tokens_total"] == 24 * 8
            assert page["time_to_first_token_seconds_count"] == 24

        async def idle() -> bool:
            found = await pages(server, 6)
            return all(page["num_requests_running"] == 0 for page in found)

        await until(idle)

    talk(server, story)
    busy = [child.cpu_times().user for child in children(server)]
    assert len(busy) == 3  # two fronts and their engine


def test_a_switch_is_thrown_for_all_fronts_at_once(server: Server) -> None:
    async def config() -> Any:
        async with aiohttp.ClientSession(server.url) as client, client.get("/config") as response:
            return await response.json()

    async def story(client: aiohttp.ClientSession) -> None:
        async with client.patch("/config", json={"max_new_tokens": 8, "prefix_cache": False}) as response:
            assert response.status == 200
        for _ in range(12):
            found = await config()
            assert found["server"]["max_new_tokens"]["value"] == 8
            assert found["models"]["tiny"]["prefix_cache"]["value"] is False
        tries = [alone(TEXT, {**BODY, "max_tokens": 9}, server) for _ in range(12)]
        assert {status for status, _ in await asyncio.gather(*tries)} == {400}
        async with client.patch("/config", json={"max_new_tokens": 0, "prefix_cache": True}) as response:
            assert response.status == 200

    talk(server, story)


def test_a_batch_is_known_and_cancelled_at_every_front(server: Server) -> None:
    async def page(batch_id: str) -> Any:
        path = f"/v1/batches/{batch_id}"
        async with aiohttp.ClientSession(server.url) as client, client.get(path) as response:
            assert response.status == 200
            return await response.json()

    async def story(client: aiohttp.ClientSession) -> None:
        long = {**BODY, "max_tokens": 1900}
        rows = [{"custom_id": str(i), "method": "POST", "url": TEXT, "body": long} for i in range(200)]
        form = aiohttp.FormData({"purpose": "batch"})
        form.add_field("file", "\n".join(map(json.dumps, rows)).encode(), filename="in.jsonl")
        async with client.post("/v1/files", data=form) as response:
            file = await response.json()
        asked = {"input_file_id": file["id"], "endpoint": TEXT, "completion_window": "24h"}
        status, batch = await alone("/v1/batches", asked, server)
        assert status == 200
        quick = asyncio.wait_for(alone(TEXT, BODY, server), 20)  # nobody waits for a batch
        assert (await quick)[0] == 200
        status, told = await alone(f"/v1/batches/{batch['id']}/cancel", {}, server)
        assert (status, told["status"]) == (200, "cancelling")

        async def cancelled() -> bool:
            return {(await page(batch["id"]))["status"] for _ in range(8)} == {"cancelled"}

        await until(cancelled)

    talk(server, story)


def test_an_engine_that_dies_is_started_again_for_all_fronts(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async def healthy(count: int) -> bool:
            states = []
            for _ in range(12):
                async with aiohttp.ClientSession(server.url) as one, one.get("/health") as response:
                    states.append((await response.json())["restarts"] if response.status == 200 else None)
            return set(states) == {count}

        assert await healthy(0)
        hanging = asyncio.create_task(stream(client, TEXT, {**BODY, "max_tokens": 1900}))
        await asyncio.sleep(0.2)
        engine = min(children(server), key=lambda child: -child.memory_info().rss)
        engine.kill()
        assert "ended unexpectedly" in (await hanging).events[-1]["error"]["message"]
        await until(lambda: healthy(1))
        answers = await asyncio.gather(*(alone(TEXT, BODY, server) for _ in range(12)))
        assert [status for status, _ in answers] == [200] * 12

    talk(server, story)


def test_a_signal_lets_the_open_stream_end_and_all_processes_go(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> bytes:
        body = {**BODY, "max_tokens": 300, "stream": True}
        async with client.post(TEXT, json=body) as response:
            await response.content.readline()
            server.process.send_signal(signal.SIGTERM)
            return await response.read()

    with serving("--model", "tiny", "--frontends", "2") as server:
        others = children(server)
        rest = talk(server, story)
        assert server.process.wait(30) == 0
    assert b'"finish_reason":"length"' in rest
    assert rest.endswith(b"data: [DONE]\n\n")
    assert psutil.wait_procs(others, timeout=10)[1] == []
    assert "Warning" not in capfd.readouterr().err


def test_a_port_that_another_server_shares_is_in_use(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    code, words = refused("--model", "tiny", "--frontends", "2", "--port", port)
    assert (code, words) == (2, f"error: port {port} is already in use; choose another with --port.\n")
    with socket.create_connection(("127.0.0.1", int(port))):
        pass


def test_a_front_that_dies_ends_the_server_in_words() -> None:
    pytest.importorskip("torch", reason="needs the server extra")
    with serving("--model", "tiny", "--frontends", "2") as server:
        fronts = sorted(children(server), key=lambda child: child.memory_info().rss)[:2]
        fronts[0].kill()
        assert server.process.wait(30) == 2
