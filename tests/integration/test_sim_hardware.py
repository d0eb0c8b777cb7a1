"""`loadlab serve --hardware` over real sockets: the schedule it would compute, and faults as ordered."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from server_process import counters, post, refused, serving, stream, talk

from loadlab.server import presets, words
from loadlab.server.roofline import Hardware, Roofline, decoding, prefilling
from loadlab.server.simulated import Simulated
from loadlab.server.switches import Switches
from loadlab.server.virtual import Ask, simulate

MS = 1_000_000
TEXT = "/v1/completions"


async def ledger(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.get("/sim/ledger?gaps=1") as response:
        return dict(await response.json())


def test_it_says_everywhere_that_it_is_a_simulation() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async with client.get("/v1/models") as response:
            assert response.headers["x-loadlab-engine"] == "sim"
            assert [model["id"] for model in (await response.json())["data"]] == ["sim-llama-8b-h100"]
        async with client.get("/health") as response:
            assert (await response.json())["device"] == "simulated h100 (datasheet, losses assumed)"
        seen = await stream(client, TEXT, {"prompt": "who are you", "max_tokens": 7})
        assert seen.text == "this answer comes from a simulated engine"

    with serving("--hardware", "h100") as server:
        assert (server.ready["engine"], server.model) == ("sim", "sim-llama-8b-h100")
        talk(server, story)


def test_alone_times_are_those_of_the_roofline() -> None:
    async def story(client: aiohttp.ClientSession) -> dict[str, Any]:
        await stream(client, TEXT, {"prompt": list(range(100)), "max_tokens": 30})
        return await ledger(client)

    with serving("--hardware", "l4", "--simulates", "llama-8b") as server:
        (row,) = talk(server, story)["requests"]
    seconds = Roofline(Hardware(presets.device("l4"), presets.model("llama-8b"))).seconds
    assert row["first_due_ns"] - row["arrival_ns"] == round(seconds(prefilling(100)) * 1e9)
    assert row["due_gaps_ns"] == [round(seconds(decoding(1, 100 + index)) * 1e9) for index in range(29)]
    assert row["first_token_ns"] >= row["first_due_ns"]


def test_the_server_keeps_the_schedule_that_can_be_computed_without_it() -> None:
    """What the ledger says was due is what `simulate` gives for the same arrivals, to the nanosecond."""

    async def story(client: aiohttp.ClientSession) -> dict[str, Any]:
        async def one(index: int) -> None:
            await asyncio.sleep(index * 0.01)
            await stream(client, TEXT, {"prompt": f"ask {index} " * (1 + index), "max_tokens": 10 + index})

        await asyncio.gather(*(one(index) for index in range(20)))
        return await ledger(client)

    flags = ("--hardware", "a100", "--noise", "0.2", "--max-num-seqs", "6", "--seed", "4")
    with serving(*flags, "--fault", "stall:0.05:20ms") as server:
        rows = talk(server, story)["requests"]
    rows.sort(key=lambda row: row["counted_ns"])
    by_tokens = {row["tokens"]: row for row in rows}
    asks = [
        Ask(tuple(words.encode(f"ask {n - 10} " * (n - 9))), n, row["counted_ns"])
        for n, row in by_tokens.items()
    ]
    plan = Simulated("a100", noise=0.2, faults=("stall:0.05:20ms",)).deployment(Switches(max_num_seqs=6))
    expected = simulate(asks, plan, seed=4).served
    for served in expected:
        row = by_tokens[served.tokens]
        assert (row["first_due_ns"], row["last_due_ns"]) == (served.times_ns[0], served.times_ns[-1])


def test_a_run_sees_what_the_ledger_says_was_done(tmp_path: Path) -> None:
    """As many requests, tokens and gaps; nothing earlier than it was done, both on one clock."""
    with serving("--hardware", "l40s") as server:
        command = [
            sys.executable, "-m", "loadlab", "run", "chat", "--url", f"{server.url}/v1", "--users", "4",
            "--requests", "12", "--max-tokens", "20", "--db", f"sqlite:///{tmp_path}/x.db", "--json",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        truth = talk(server, ledger)
    level = json.loads(done.stdout)["levels"][0]
    rows = [row for row in truth["requests"] if row["tokens"] == 20]
    assert len(rows) == level["requests"]["ok"] == 12
    assert level["metrics"]["itl_ms"]["n"] == 12 * 19
    e2e_ms = sorted((row["last_token_ns"] - row["arrival_ns"]) / MS for row in rows)
    assert level["metrics"]["e2e_ms"]["max"] >= e2e_ms[-1]
    assert level["metrics"]["e2e_ms"]["p50"] >= e2e_ms[5]


def test_faults_come_as_ordered() -> None:
    async def story(client: aiohttp.ClientSession) -> tuple[list[int], int]:
        answers = [await post(client, TEXT, {"prompt": f"number {i}", "max_tokens": 1}) for i in range(60)]
        cut = 0
        for index in range(20):
            try:
                seen = await stream(client, TEXT, {"prompt": f"stream {index}", "max_tokens": 8})
                assert seen.done
            except (aiohttp.ClientPayloadError, AssertionError):
                cut += 1
        found = await counters(client)
        assert found["request_success_total:error"] == sum(status != 200 for status, _ in answers) + cut
        return [status for status, _ in answers], cut

    flags = (
        "--hardware",
        "h200",
        "--fault",
        "error:503:0.3",
        "--fault",
        "error:429:0.2",
        "--fault",
        "cut:0.4",
    )
    with serving(*flags) as server:
        statuses, cut = talk(server, story)
    with serving(*flags) as server:
        assert talk(server, story) == (statuses, cut)
    assert set(statuses) == {200, 429, 503, 500} or set(statuses) == {200, 429, 503}
    assert 0 < cut < 20


def test_beyond_its_rate_limit_it_answers_429() -> None:
    async def story(client: aiohttp.ClientSession) -> list[int]:
        statuses = [(await post(client, TEXT, {"prompt": f"p {i}", "max_tokens": 1}))[0] for i in range(12)]
        async with client.post(TEXT, json={"prompt": "more", "max_tokens": 1}) as response:
            assert response.status == 200 or response.headers["Retry-After"] == "1"
        return statuses

    with serving("--hardware", "h200", "--fault", "limit:2") as server:
        statuses = talk(server, story)
    assert statuses[:2] == [200, 200]
    assert 429 in statuses


@pytest.mark.parametrize(
    ("flags", "words_of_it"),
    [
        (("--hardware", "h1000"), "did you mean 'h100'"),
        (("--hardware", "l4", "--simulates", "llama-70b"), "--tensor-parallel"),
        (("--hardware", "h100", "--engine", "torch"), "--engine sim"),
        (("--hardware", "h100", "--model", "llama-8b"), "'sim'"),
        (("--hardware", "h100", "--fault", "quake:1"), "fault 'quake'"),
        (("--hardware", "h100", "--noise", "2"), "--noise 2"),
        (("--engine", "sim", "--fault", "cut:0.1"), "--hardware"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_words(flags: tuple[str, ...], words_of_it: str) -> None:
    code, said = refused(*flags)
    assert code == 2
    assert words_of_it in said
    assert "Traceback" not in said


def test_hardware_of_one_s_own_is_read_from_a_file(tmp_path: Path) -> None:
    from dataclasses import replace

    presets.write(replace(presets.device("cpu2"), name="mine"), tmp_path / "mine.toml")
    with serving("--hardware", str(tmp_path / "mine.toml"), "--simulates", "smollm2-135m") as server:
        assert server.model == "sim-smollm2-135m-mine"
