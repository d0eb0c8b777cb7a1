"""The ledger tells what was due beside what was done, and its quantiles are those of its rows."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import socket
import time
from collections import Counter
from itertools import accumulate
from random import Random
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from server_process import post, serving, talk

from loadlab.core.clock import now_ns
from loadlab.server.job import Job, Sampling
from loadlab.server.sim import SimEngine, chance_of
from loadlab.server.timing import parse_delay

MS = 1_000_000
TEXT = "/v1/completions"


async def ledger(client: aiohttp.ClientSession, query: str = "") -> dict[str, Any]:
    async with client.get(f"/sim/ledger{query}") as response:
        return dict(await response.json())


async def ask(client: aiohttp.ClientSession, prompt: str, tokens: int) -> None:
    status, _ = await post(client, TEXT, {"prompt": prompt, "max_tokens": tokens})
    assert status == 200


def nearest_rank(values: list[int], p: float) -> float:
    return sorted(values)[math.ceil(p * len(values)) - 1] / MS


def test_what_was_due_follows_from_the_seed() -> None:
    async def story(client: aiohttp.ClientSession) -> dict[str, Any]:
        await asyncio.gather(*(ask(client, f"prompt {index}", 12) for index in range(10)))
        return await ledger(client, "?gaps=1")

    flags = ("--ttft", "gamma:20ms:0.5", "--itl", "exponential:3ms", "--seed", "9")
    with serving("--engine", "sim", *flags) as server:
        truth = talk(server, story)
    expected = sorted(schedule(f"prompt {index}", 12, seed=9) for index in range(10))
    due = [[row["first_due_ns"] - row["arrival_ns"], *row["due_gaps_ns"]] for row in truth["requests"]]
    assert sorted(due) == expected
    assert all(row["late_max_ns"] >= row["first_token_ns"] - row["first_due_ns"] for row in truth["requests"])


def schedule(prompt: str, tokens: int, seed: int) -> list[int]:
    """TTFT and gaps as the engine must draw them."""
    job = Job("id", SimEngine().encode(prompt), 0, Sampling(max_tokens=tokens))
    chance: Random = chance_of(job, seed, Counter())
    chance.random()
    first = parse_delay("gamma:20ms:0.5").draws(chance)()
    gap = parse_delay("exponential:3ms").draws(chance)
    return [first, *(gap() for _ in range(tokens - 1))]


def test_quantiles_are_those_of_the_rows() -> None:
    async def story(client: aiohttp.ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
        await asyncio.gather(*(ask(client, f"prompt {index}", 9) for index in range(15)))
        return await ledger(client, "?gaps=1"), await ledger(client, "?rows=0")

    with serving("--engine", "sim", "--ttft", "uniform:5ms:40ms", "--itl", "gamma:2ms:1") as server:
        truth, short = talk(server, story)
    rows = truth.pop("requests")
    assert short == truth
    assert (truth["n"], truth["tokens"]) == (15, 135)
    samples = {
        "ttft_ms": [row["first_token_ns"] - row["arrival_ns"] for row in rows],
        "ttft_due_ms": [row["first_due_ns"] - row["arrival_ns"] for row in rows],
        "itl_ms": [gap for row in rows for gap in row["gaps_ns"]],
        "itl_due_ms": [gap for row in rows for gap in row["due_gaps_ns"]],
        "late_ms": [late for row in rows for late in lateness(row)],
        "late_max_ms": [row["late_max_ns"] for row in rows],
    }
    for name, values in samples.items():
        for stat, p in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
            assert truth[name][stat] == nearest_rank(values, p), (name, stat)


def lateness(row: dict[str, Any]) -> list[int]:
    dues = accumulate(row["due_gaps_ns"], initial=row["first_due_ns"])
    writes = accumulate(row["gaps_ns"], initial=row["first_token_ns"])
    return [at - due for due, at in zip(dues, writes, strict=True)]


def test_gaps_grow_with_the_streams_that_run_beside() -> None:
    async def story(client: aiohttp.ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
        await ask(client, "alone", 5)
        since = time.perf_counter_ns()
        await asyncio.gather(*(ask(client, f"together {index}", 5) for index in range(10)))
        everything = await ledger(client, "?gaps=1")
        assert len((await ledger(client, f"?until_ns={since}"))["requests"]) == 1
        return everything, await ledger(client, f"?gaps=1&since_ns={since}")

    with serving("--engine", "sim", "--ttft", "30ms", "--itl", "4ms", "--itl-per-stream", "2ms") as server:
        everything, together = talk(server, story)
    alone = everything["requests"][0]
    assert alone["due_gaps_ns"] == [4 * MS] * 4
    assert {tuple(row["due_gaps_ns"]) for row in together["requests"]} == {(22 * MS,) * 4}


def test_a_query_that_is_no_number_is_refused() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async with client.get("/sim/ledger?until_ns=soon") as response:
            assert response.status == 400

    with serving("--engine", "sim") as server:
        talk(server, story)


def test_a_request_came_when_it_reached_the_socket_not_when_the_server_looked() -> None:
    body = json.dumps({"prompt": "hello", "max_tokens": 1}).encode()
    head = f"POST {TEXT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with serving("--engine", "sim", "--ttft", "0ms") as server:
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
            server.process.send_signal(signal.SIGSTOP)
            sent_ns = now_ns()
            connection.sendall(head + body)
            time.sleep(0.3)
            server.process.send_signal(signal.SIGCONT)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        (row,) = talk(server, ledger)["requests"]
    assert 0 <= row["arrival_ns"] - sent_ns < 100 * MS
    assert row["first_token_ns"] - row["arrival_ns"] > 200 * MS
