"""The sim engine keeps its schedule and says truly what it did."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any

import aiohttp
from server_process import counters, post, serving, stream, talk, until

MS = 1_000_000
TEXT = "/v1/completions"


async def ledger(client: aiohttp.ClientSession, query: str = "") -> dict[str, Any]:
    async with client.get(f"/sim/ledger{query}") as response:
        return dict(await response.json())


def test_every_token_is_written_on_its_absolute_schedule() -> None:
    """Never early, and however late a token was, the last one shows no accumulated delay."""

    async def story(client: aiohttp.ClientSession) -> tuple[list[tuple[int, int]], dict[str, Any]]:
        async def one(index: int) -> tuple[int, int]:
            sent = time.perf_counter_ns()
            async with client.post(
                TEXT, json={"prompt": f"p {index}", "max_tokens": 20, "stream": True}
            ) as response:
                await response.content.readline()
                first = time.perf_counter_ns()
                await response.read()
            return sent, first

        seen = await asyncio.gather(*(one(index) for index in range(20)))
        return seen, await ledger(client, "?gaps=1")

    with serving("--engine", "sim", "--ttft", "30ms", "--itl", "5ms") as server:
        seen, truth = talk(server, story)
    assert len(truth["requests"]) == 20
    for row in truth["requests"]:
        assert row["tokens"] == 20
        first_late = row["first_token_ns"] - row["arrival_ns"] - 30 * MS
        last_late = row["last_token_ns"] - row["arrival_ns"] - (30 + 19 * 5) * MS
        assert 0 <= first_late <= row["late_max_ns"]
        assert 0 <= last_late <= row["late_max_ns"]
        assert sum(row["gaps_ns"]) == row["last_token_ns"] - row["first_token_ns"]
    assert truth["ttft_ms"]["n"] == 20
    assert truth["itl_ms"]["n"] == 20 * 19
    assert truth["ttft_ms"]["p50"] >= 30
    # both clocks are the same one: no client can see a token before the server wrote it
    by_arrival = sorted(truth["requests"], key=lambda row: row["arrival_ns"])
    assert min(sent for sent, _ in seen) <= by_arrival[0]["arrival_ns"]
    assert min(first for _, first in seen) >= min(row["first_token_ns"] for row in by_arrival)


def test_the_ledger_can_begin_later() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        await post(client, TEXT, {"prompt": "a", "max_tokens": 1})
        now = time.perf_counter_ns()
        _, answer = await post(client, TEXT, {"prompt": "b", "max_tokens": 1})
        (row,) = (await ledger(client, f"?since_ns={now}"))["requests"]
        assert row["id"] == answer["id"]
        async with client.get("/sim/ledger?since_ns=soon") as response:
            assert response.status == 400

    with serving("--engine", "sim", "--ttft", "1ms") as server:
        talk(server, story)


def test_answers_end_by_themselves_without_a_limit() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        seen = await stream(client, "/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]})
        assert seen.finish == "stop"
        assert seen.text.startswith("this answer comes from a simulated engine")

    with serving("--engine", "sim", "--itl", "0ms", "--ttft", "0ms") as server:
        talk(server, story)


def test_failures_follow_the_seed_and_count_as_errors() -> None:
    async def story(client: aiohttp.ClientSession) -> list[int]:
        answers = [await post(client, TEXT, {"prompt": f"number {i}", "max_tokens": 1}) for i in range(40)]
        failed = [answer for status, answer in answers if status == 500]
        assert failed[0]["error"]["type"] == "server_error"
        assert (await counters(client))["request_success_total:error"] == len(failed)
        return [status for status, _ in answers]

    def statuses(seed: int) -> list[int]:
        flags = ("--engine", "sim", "--ttft", "0ms", "--fail-rate", "0.3", "--seed", str(seed))
        with serving(*flags) as server:
            return list(talk(server, story))

    first = statuses(1)
    assert set(first) == {200, 500}
    assert statuses(1) == first
    assert statuses(2) != first


def test_more_requests_than_places_wait_their_turn() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"prompt": "a", "max_tokens": 20}
        tasks = [asyncio.create_task(post(client, TEXT, body)) for _ in range(5)]

        async def waiting() -> bool:
            found = await counters(client)
            return (found["num_requests_running"], found["num_requests_waiting"]) == (2, 3)

        await until(waiting)
        assert [status for status, _ in await asyncio.gather(*tasks)] == [200] * 5

    with serving("--engine", "sim", "--max-num-seqs", "2") as server:
        talk(server, story)


def test_a_reader_that_stalls_is_cut_off_and_others_are_served() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        assert client._base_url
        with socket.socket() as stalled:
            stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stalled.connect((client._base_url.host, client._base_url.port))
            body = b'{"prompt":"a","max_tokens":100000,"stream":true}'
            stalled.sendall(
                b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )

            async def cut() -> bool:
                return (await counters(client))["request_success_total:abort"] == 1

            await until(cut)
            status, _ = await post(client, TEXT, {"prompt": "b", "max_tokens": 3})
            assert status == 200

    with serving("--engine", "sim", "--itl", "0.1ms") as server:
        talk(server, story)
