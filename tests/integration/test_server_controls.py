"""What can be switched and limited: the response cache, routing, the queue, the length of answers."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
import pytest
from server_process import counters, post, refused, serving, stream, talk, until

TEXT = "/v1/completions"
SIM = ("--engine", "sim", "--ttft", "20ms", "--itl", "1ms")


async def ask(client: aiohttp.ClientSession, body: dict[str, Any], **headers: str) -> tuple[str, Any]:
    """What the cache header says, and the answer."""
    async with client.post(TEXT, json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        return response.headers["x-loadlab-cache"], await response.json()


async def patch(client: aiohttp.ClientSession, changes: Any) -> tuple[int, Any]:
    async with client.patch("/config", json=changes) as response:
        return response.status, await response.json()


def test_a_repeated_question_is_answered_from_the_cache() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        question = {"prompt": "once more", "max_tokens": 9, "temperature": 0}
        (first, fresh), (second, kept) = await ask(client, question), await ask(client, question)
        assert (first, second) == ("miss", "hit")
        assert kept["choices"] == fresh["choices"]
        assert kept["usage"] == fresh["usage"]
        assert kept["timings"]["prefill_ms"] < 20 <= fresh["timings"]["prefill_ms"]
        seen = await stream(client, TEXT, {**question, "stream_options": {"include_usage": True}})
        assert (seen.text, seen.usage, len(seen.choices)) == (
            fresh["choices"][0]["text"],
            fresh["usage"],
            1,
        )
        for other in ({"prompt": "once  more!"}, {"max_tokens": 8}, {"stop": "x"}):
            assert (await ask(client, question | other))[0] == "miss"

    with serving(*SIM, "--response-cache") as server:
        talk(server, story)


def test_what_is_left_to_chance_is_not_kept_unless_the_seed_was_given() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        warm = {"prompt": "a", "max_tokens": 2, "temperature": 0.7}
        found = [(await ask(client, warm))[0] for _ in range(2)]
        found += [(await ask(client, {**warm, "seed": 5}))[0] for _ in range(2)]
        found += [(await ask(client, {**warm, "seed": 6}))[0]]
        assert found == ["miss", "miss", "miss", "hit", "miss"]

    with serving(*SIM, "--response-cache") as server:
        talk(server, story)


def test_the_cache_is_switched_while_the_server_runs() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        question = {"prompt": "a", "max_tokens": 2, "temperature": 0}
        assert [(await ask(client, question))[0] for _ in range(2)] == ["miss", "miss"]
        status, config = await patch(client, {"response_cache": True})
        assert (status, config["server"]["response_cache"]) == (200, {"value": True, "runtime": True})
        assert [(await ask(client, question))[0] for _ in range(2)] == ["miss", "hit"]
        async with client.get("/metrics") as response:
            assert 'name="response_cache",value="true"} 1.0' in await response.text()
        await patch(client, {"response_cache_ttl_s": 0.001})
        await asyncio.sleep(0.01)
        assert (await ask(client, question))[0] == "miss"

    with serving(*SIM) as server:
        talk(server, story)


@pytest.mark.parametrize(
    ("changes", "status", "param", "words"),
    [
        ({"response_cach": True}, 404, "response_cach", "did you mean 'response_cache'"),
        ({"response_cache": 1}, 400, "response_cache", "true or false"),
        ({"max_waiting": -1}, 400, "max_waiting", "at least 0"),
        ({"response_cache": True, "route_tokens": "many"}, 400, "route_tokens", "a whole number"),
        ([], 400, None, "JSON object"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(
    changes: Any, status: int, param: str | None, words: str
) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        found, answer = await patch(client, changes)
        assert (found, answer["error"]["param"]) == (status, param)
        assert words in answer["error"]["message"]
        async with client.get("/config") as response:
            assert (await response.json())["server"]["response_cache"]["value"] is False

    with serving(*SIM) as server:
        talk(server, story)


def test_config_and_tokens_ask_for_the_key_too() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        for method, path, status in (
            ("GET", "/config", 401),
            ("PATCH", "/config", 401),
            ("POST", "/tokenize", 401),
            ("GET", "/v1/files", 401),
            ("GET", "/metrics", 200),
            ("GET", "/health", 200),
        ):
            async with client.request(method, path) as response:
                assert (path, response.status) == (path, status)

    environment = {**os.environ, "A_KEY": "secret"}
    with serving(*SIM, "--api-key-env", "A_KEY", env=environment) as server:
        talk(server, story)


def test_one_more_than_may_wait_is_told_to_come_back() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"prompt": "a", "max_tokens": 400}
        served = [asyncio.create_task(post(client, TEXT, body)) for _ in range(3)]

        async def full() -> bool:
            found = await counters(client)
            return (found["num_requests_running"], found["num_requests_waiting"]) == (1, 2)

        await until(full)
        async with client.post(TEXT, json=body) as response:
            refusal = await response.json()
            assert (response.status, response.headers["Retry-After"]) == (429, "1")
            assert (refusal["error"]["type"], refusal["error"]["code"]) == ("rate_limit_error", "queue_full")
        assert (await patch(client, {"max_waiting": 3}))[0] == 200
        fourth = asyncio.create_task(post(client, TEXT, {**body, "max_tokens": 1}))
        assert [status for status, _ in await asyncio.gather(*served, fourth)] == [200] * 4
        async with client.get("/metrics") as response:
            assert "requests_refused_total{" in (page := await response.text())
            assert page.partition("requests_refused_total{")[2].splitlines()[0].endswith(" 1.0")

    with serving(*SIM, "--max-num-seqs", "1", "--max-waiting", "2") as server:
        talk(server, story)


def test_answers_have_the_servers_limit() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"messages": [{"role": "user", "content": "a"}]}
        _, answer = await post(client, "/v1/chat/completions", body)
        assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (12, "length")
        status, answer = await post(client, "/v1/chat/completions", {**body, "max_tokens": 13})
        assert (status, answer["error"]["param"]) == (400, "max_tokens")

    with serving(*SIM, "--max-new-tokens", "12") as server:
        talk(server, story)


def test_the_largest_body_is_a_flag() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        status, answer = await post(client, TEXT, {"prompt": "x" * (1 << 20)})
        assert (status, "1048576" in answer["error"]["message"]) == (413, True)

    with serving(*SIM, "--max-body-mib", "1") as server:
        talk(server, story)


def test_auto_takes_the_second_model_for_short_prompts_and_either_by_name() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async def model(prompt: str, asked: str | None, **headers: str) -> str:
            _, answer = await ask(client, {"prompt": prompt, "model": asked, "max_tokens": 1}, **headers)
            return str(answer["model"])

        async with client.get("/v1/models") as response:
            names = [entry["id"] for entry in (await response.json())["data"]]
        assert names == ["sim-large", "sim-small", "auto"]
        assert await model("one two three", "auto") == "sim-small"
        assert await model("one two three four", "auto") == "sim-large"
        assert await model("one", "auto", **{"x-loadlab-route": "main"}) == "sim-large"
        assert await model("one two three four", "auto", **{"x-loadlab-route": "second"}) == "sim-small"
        assert await model("one", "sim-large") == await model("one", None) == "sim-large"
        async with client.post(
            TEXT, json={"prompt": "a", "model": "auto"}, headers={"x-loadlab-route": "fast"}
        ) as response:
            assert response.status == 400
        await patch(client, {"route_tokens": 4})
        assert await model("one two three four", "auto") == "sim-small"
        async with client.get("/metrics") as response:
            page = await response.text()
        assert (
            'vllm:request_success_total{engine="1",finished_reason="length",model_name="sim-small"} 3.0'
            in page
        )

    flags = ("--engine", "sim", "--ttft", "0ms", "--model", "sim-large", "--route-model", "sim-small")
    with serving(*flags, "--route-tokens", "3") as server:
        talk(server, story)


def test_a_route_to_itself_is_refused() -> None:
    code, words = refused("--engine", "sim", "--route-model", "sim")
    assert (code, "is the model served already" in words) == (2, True)


def test_several_fronts_of_a_simulation_are_refused() -> None:
    code, words = refused("--engine", "sim", "--frontends", "2")
    assert (code, "one true schedule" in words, len(words.splitlines())) == (2, True, 1)
