"""The Messages API over real sockets, the same for both engines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from server_process import Server, post, serving, talk

MESSAGES = "/v1/messages"
HELLO = {"messages": [{"role": "user", "content": "Hello, who are you?"}], "max_tokens": 6, "temperature": 0}


@pytest.fixture(scope="module", params=["sim", pytest.param("tiny", marks=pytest.mark.torch)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    flags: tuple[str, ...] = ("--model", "tiny")
    if request.param == "sim":
        flags = ("--engine", "sim", "--ttft", "5ms", "--itl", "1ms")
    else:
        pytest.importorskip("torch", reason="needs the server extra")
    with serving(*flags, "--max-model-len", "400") as running:
        yield running


async def events(client: aiohttp.ClientSession, body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every event with its name; each must say the same in its data."""
    seen = []
    async with client.post(MESSAGES, json={**body, "stream": True}) as response:
        assert response.status == 200, await response.text()
        for block in (await response.text()).strip().split("\n\n"):
            name, data = block.split("\n")
            document = json.loads(data.removeprefix("data: "))
            assert name == f"event: {document['type']}"
            seen.append((document["type"], document))
    return seen


def test_a_message(server: Server) -> None:
    status, answer = talk(server, lambda client: post(client, MESSAGES, {**HELLO, "ignore_eos": True}))
    assert (status, answer["type"], answer["role"], answer["model"]) == (
        200,
        "message",
        "assistant",
        server.model,
    )
    (block,) = answer["content"]
    assert block["type"] == "text"
    assert block["text"]
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("max_tokens", None)
    assert answer["usage"]["output_tokens"] == 6
    assert set(answer["timings"]) == {"queue_ms", "prefill_ms", "decode_ms"}


def test_a_streamed_message_says_what_the_whole_one_says(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "ignore_eos": True}
        seen = await events(client, body)
        kinds = [kind for kind, _ in seen]
        assert kinds[:3] == ["message_start", "content_block_start", "ping"]
        assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
        assert set(kinds[3:-3]) == {"content_block_delta"}
        start, end = seen[0][1]["message"], seen[-2][1]
        text = "".join(event["delta"]["text"] for kind, event in seen if kind == "content_block_delta")
        _, whole = await post(client, MESSAGES, body)
        assert text == whole["content"][0]["text"]
        assert (start["content"], start["stop_reason"], start["usage"]["output_tokens"]) == ([], None, 0)
        assert end["delta"]["stop_reason"] == whole["stop_reason"]
        assert end["usage"]["output_tokens"] == 6
        total = {"input_tokens", "cache_read_input_tokens"}
        prompts = [sum(usage[name] for name in total) for usage in (start["usage"], whole["usage"])]
        assert prompts[0] == prompts[1] > 0

    talk(server, story)


@pytest.mark.torch
def test_a_stop_sequence_is_named() -> None:
    pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "max_tokens": 40, "ignore_eos": True}
        _, free = await post(client, MESSAGES, body)
        stop = free["content"][0]["text"][20:23]
        body["stop_sequences"] = ["no such text", stop]
        for _ in range(2):  # from the engine, then from the cache
            _, cut = await post(client, MESSAGES, body)
            assert (cut["stop_reason"], cut["stop_sequence"]) == ("stop_sequence", stop)
        (end,) = [event for kind, event in await events(client, body) if kind == "message_delta"]
        assert end["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": stop}

    with serving("--model", "tiny", "--response-cache") as cached:
        talk(cached, story)


def test_counted_tokens_are_those_of_the_answer(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "system": [{"type": "text", "text": "Be brief."}]}
        status, counted = await post(client, f"{MESSAGES}/count_tokens", body)
        _, answer = await post(client, MESSAGES, body)
        usage = answer["usage"]
        assert (status, counted["input_tokens"]) == (
            200,
            usage["input_tokens"] + usage["cache_read_input_tokens"],
        )

    talk(server, story)


REFUSALS = [
    (b"{", 400, "invalid_request_error"),
    ({"messages": HELLO["messages"]}, 400, "invalid_request_error"),
    ({**HELLO, "max_tokens": 0}, 400, "invalid_request_error"),
    ({**HELLO, "temperature": 1.5}, 400, "invalid_request_error"),
    ({**HELLO, "max_tokens": 4000}, 400, "invalid_request_error"),
    ({**HELLO, "messages": [{"role": "system", "content": "x"}]}, 400, "invalid_request_error"),
    ({**HELLO, "tools": [{"name": "clock"}]}, 400, "invalid_request_error"),
    ({**HELLO, "model": "claude"}, 404, "not_found_error"),
    ({**HELLO, "system": "x" * (9 << 20)}, 413, "request_too_large"),
]


@pytest.mark.parametrize(("body", "status", "kind"), REFUSALS)
def test_refusals_have_anthropics_shape(server: Server, body: Any, status: int, kind: str) -> None:
    found, answer = talk(server, lambda client: post(client, MESSAGES, body))
    assert found == status, answer
    assert answer["type"] == "error"
    assert set(answer["error"]) == {"type", "message"}
    assert answer["error"]["type"] == kind
    assert answer["error"]["message"]


def test_the_key_may_come_in_anthropics_header() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        for headers, status in (({}, 401), ({"x-api-key": "secret"}, 200), ({"x-api-key": "other"}, 401)):
            async with client.post(MESSAGES, json=HELLO, headers=headers) as response:
                assert response.status == status
                if status == 401:
                    assert (await response.json())["error"]["type"] == "authentication_error"

    environment = {**os.environ, "A_KEY": "secret"}
    with serving("--engine", "sim", "--api-key-env", "A_KEY", env=environment) as server:
        talk(server, story)
