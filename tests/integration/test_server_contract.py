"""The OpenAI contract over real sockets, the same for both engines."""

from __future__ import annotations

import asyncio
import base64
import math
import struct
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from server_process import Server, counters, post, serving, stream, talk, until

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello, who are you?"}], "temperature": 0}


@pytest.fixture(scope="module", params=["sim", pytest.param("tiny", marks=pytest.mark.torch)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    flags: tuple[str, ...] = ("--model", "tiny")
    if request.param == "sim":
        flags = ("--engine", "sim", "--ttft", "5ms", "--itl", "1ms")
    else:
        pytest.importorskip("torch", reason="needs the server extra")
    with serving(*flags, "--max-model-len", "400") as running:
        yield running


def test_ready_document_and_health_agree(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async with client.get("/health") as response:
            health = await response.json()
            assert response.headers["x-loadlab-engine"] == server.ready["engine"]
        ready = {key: server.ready[key] for key in ("engine", "model", "device")}
        assert health == {"status": "ok", "restarts": 0} | ready

    talk(server, story)
    assert server.ready["pid"] == server.process.pid


def test_the_model_is_listed(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async with client.get("/v1/models") as response:
            (model,) = (await response.json())["data"]
        assert (model["id"], model["max_model_len"]) == (server.model, 400)

    talk(server, story)


def test_a_chat_answer(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "model": server.model, "max_tokens": 7, "ignore_eos": True}
        status, answer = await post(client, CHAT, body)
        assert (status, answer["object"], answer["model"]) == (200, "chat.completion", server.model)
        (choice,) = answer["choices"]
        assert (choice["message"]["role"], choice["finish_reason"]) == ("assistant", "length")
        assert choice["message"]["content"]
        usage = answer["usage"]
        assert usage["completion_tokens"] == 7
        assert usage["total_tokens"] == usage["prompt_tokens"] + 7 > 7

    talk(server, story)


def test_a_streamed_chat(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "max_tokens": 7, "ignore_eos": True, "stream_options": {"include_usage": True}}
        seen = await stream(client, CHAT, body)
        first, *pieces = seen.choices
        assert first["delta"] == {"role": "assistant", "content": ""}
        assert [piece["finish_reason"] for piece in pieces] == [None] * (len(pieces) - 1) + ["length"]
        assert all("role" not in piece["delta"] for piece in pieces)
        assert seen.done
        assert seen.events[-1]["choices"] == []
        assert len({event["id"] for event in seen.events}) == 1
        _, whole = await post(client, CHAT, {**HELLO, "max_tokens": 7, "ignore_eos": True})
        assert seen.text == whole["choices"][0]["message"]["content"]
        assert seen.usage == whole["usage"]

    talk(server, story)


def test_usage_is_streamed_only_when_asked_for(server: Server) -> None:
    seen = talk(server, lambda client: stream(client, CHAT, {**HELLO, "max_tokens": 3}))
    assert seen.usage is None
    assert seen.done


@pytest.mark.parametrize("prompt", ["Once upon a time", ["Once upon a time"], [79, 110, 99, 101]])
def test_a_text_completion_streamed_and_not(server: Server, prompt: Any) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"prompt": prompt, "max_tokens": 5, "temperature": 0, "ignore_eos": True}
        status, answer = await post(client, TEXT, body)
        assert (status, answer["object"]) == (200, "text_completion")
        seen = await stream(client, TEXT, {**body, "stream_options": {"include_usage": True}})
        assert (seen.text, seen.finish, seen.usage) == (
            answer["choices"][0]["text"],
            "length",
            answer["usage"],
        )

    talk(server, story)


def test_usage_comes_with_every_event_when_asked_for(server: Server) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = {**HELLO, "max_tokens": 5, "ignore_eos": True, "stream_options": options}
    seen = talk(server, lambda client: stream(client, CHAT, body))
    counts = [event["usage"]["completion_tokens"] for event in seen.events if event.get("usage")]
    assert counts == sorted(counts)
    assert counts[-1] == 5
    assert len(counts) >= 4
    assert len({event["usage"]["prompt_tokens"] for event in seen.events if event.get("usage")}) == 1


@pytest.mark.parametrize("with_usage", [True, False])
def test_the_servers_own_times_come_last(server: Server, with_usage: bool) -> None:
    body = {**HELLO, "max_tokens": 4, "ignore_eos": True, "stream_options": {"include_usage": with_usage}}

    async def story(client: aiohttp.ClientSession) -> tuple[Any, Any]:
        seen = await stream(client, CHAT, body)
        _, whole = await post(client, CHAT, {**body, "stream_options": None})
        return [event.get("timings") for event in seen.events], whole["timings"]

    (*earlier, last), whole = talk(server, story)
    assert not any(earlier)
    for timings in (last, whole):
        assert list(timings) == ["queue_ms", "prefill_ms", "decode_ms"]
        assert all(time >= 0 for time in timings.values())
        assert timings["prefill_ms"] > 0 < timings["decode_ms"]


def test_tokens_of_a_text_and_of_a_conversation(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        status, answer = await post(client, "/tokenize", {"model": server.model, "prompt": "Hello there"})
        assert (status, answer["max_model_len"], answer["token_strs"]) == (200, 400, None)
        assert answer["count"] == len(answer["tokens"]) > 0
        _, chat = await post(client, "/tokenize", {"messages": HELLO["messages"], "return_token_strs": True})
        _, served = await post(client, CHAT, {**HELLO, "max_tokens": 1})
        assert chat["count"] == len(chat["token_strs"]) == served["usage"]["prompt_tokens"]
        status, back = await post(client, "/detokenize", {"tokens": answer["tokens"]})
        if server.ready["engine"] == "sim":
            assert (status, back["prompt"]) == (200, "".join(f"<{token}>" for token in answer["tokens"]))
        else:
            assert (status, back) == (200, {"prompt": "Hello there"})

    talk(server, story)


@pytest.mark.parametrize("size", [1, 3])
def test_embeddings_of_a_simulation_have_the_shape_and_no_meaning(size: int) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"input": ["one text", "two words", "one text"][:size]}
        status, answer = await post(client, "/v1/embeddings", body)
        assert (status, answer["object"], answer["model"]) == (200, "list", "sim-embed")
        assert [entry["index"] for entry in answer["data"]] == list(range(size))
        first = answer["data"][0]["embedding"]
        assert len(first) == 384
        assert math.isclose(sum(value * value for value in first), 1)
        assert answer["data"][-1]["embedding"] == first
        _, packed = await post(client, "/v1/embeddings", {**body, "encoding_format": "base64"})
        raw = base64.b64decode(packed["data"][0]["embedding"])
        assert struct.unpack("<384f", raw) == pytest.approx(first)
        assert answer["usage"] == {"prompt_tokens": 2 * size, "total_tokens": 2 * size}

    with serving("--engine", "sim") as sim:
        talk(sim, story)


def test_http_1_0_gets_an_unchunked_stream(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> bytes:
        assert client._base_url
        reader, writer = await asyncio.open_connection(client._base_url.host, client._base_url.port)
        body = b'{"prompt":"a","max_tokens":2,"stream":true,"ignore_eos":true}'
        writer.write(b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    head, _, body = talk(server, story).partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body.startswith(b"data: {")
    assert body.endswith(b"data: [DONE]\n\n")


REFUSALS = [
    (CHAT, b'{"messages": [', 400, None),
    (CHAT, [], 400, None),
    (CHAT, {"model": "gpt-4", **HELLO}, 404, "model"),
    (CHAT, {}, 400, "messages"),
    (CHAT, {"messages": []}, 400, "messages"),
    (CHAT, {"messages": ["hi"]}, 400, "messages[0]"),
    (CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages[0].content"),
    (CHAT, {**HELLO, "max_tokens": 0}, 400, "max_tokens"),
    (CHAT, {**HELLO, "max_tokens": -1}, 400, "max_tokens"),
    (CHAT, {**HELLO, "max_tokens": "many"}, 400, "max_tokens"),
    (CHAT, {**HELLO, "max_tokens": True}, 400, "max_tokens"),
    (CHAT, {**HELLO, "max_completion_tokens": 0}, 400, "max_completion_tokens"),
    (CHAT, {**HELLO, "max_tokens": 400}, 400, "messages"),
    (CHAT, {"messages": [{"role": "user", "content": "word " * 400}]}, 400, "messages"),
    (CHAT, {**HELLO, "temperature": 9}, 400, "temperature"),
    (CHAT, {**HELLO, "top_p": 1.5}, 400, "top_p"),
    (CHAT, {**HELLO, "stop": [""]}, 400, "stop"),
    (CHAT, {**HELLO, "n": 2}, 400, "n"),
    (CHAT, {**HELLO, "tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools"),
    (CHAT, {**HELLO, "stream": "yes"}, 400, "stream"),
    (CHAT, {**HELLO, "stream_options": 1}, 400, "stream_options"),
    (TEXT, {"prompt": ""}, 400, "prompt"),
    (TEXT, {"prompt": ["a", "b"]}, 400, "prompt"),
    (TEXT, {"prompt": [1, -1]}, 400, "prompt"),
    (TEXT, {"prompt": "a", "seed": 1.5}, 400, "seed"),
    (CHAT, {**HELLO, "top_k": "few"}, 400, "top_k"),
    (CHAT, {**HELLO, "top_logprobs": 3}, 400, "top_logprobs"),
    (CHAT, {**HELLO, "logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
    (CHAT, {**HELLO, "model": 7}, 400, "model"),
    (TEXT, {"prompt": "a", "logprobs": True}, 400, "logprobs"),
    ("/tokenize", {"prompt": 7}, 400, "prompt"),
    ("/tokenize", {"model": "gpt-4", "prompt": "a"}, 404, "model"),
    ("/detokenize", {"tokens": "a"}, 400, "tokens"),
    ("/v1/embeddings", {"input": []}, 400, "input"),
    ("/v1/embeddings", {"input": ["a", ""]}, 400, "input"),
    ("/v1/embeddings", {"input": "a", "model": "ada"}, 404, "model"),
    ("/v1/embeddings", {"input": "a", "dimensions": 3}, 400, "dimensions"),
    ("/v1/embeddings", {"input": "a", "encoding_format": "hex"}, 400, "encoding_format"),
    ("/v1/nothing", {}, 404, None),
    ("/v1/models", {}, 405, None),
]


@pytest.mark.parametrize(("path", "body", "status", "param"), REFUSALS)
def test_refusals_have_openais_shape(
    server: Server, path: str, body: Any, status: int, param: str | None
) -> None:
    found, answer = talk(server, lambda client: post(client, path, body))
    assert found == status, answer
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert answer["error"]["param"] == param
    assert answer["error"]["message"]


def test_a_refused_request_counts_nowhere(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> tuple[dict[str, float], ...]:
        before = await counters(client)
        strange = {"prompt": "a", "logprobs": 1} if server.model == "sim" else {"prompt": [10**9]}
        assert (await post(client, TEXT, strange))[0] == 400  # by the engine, not by the reader of the body
        return before, await counters(client)

    before, after = talk(server, story)
    assert after == before


def test_a_body_too_large_is_413(server: Server) -> None:
    body = {"messages": [{"role": "user", "content": "x" * (9 << 20)}]}
    status, answer = talk(server, lambda client: post(client, CHAT, body))
    assert (status, "8388608" in answer["error"]["message"]) == (413, True)


def test_null_means_left_out(server: Server) -> None:
    body = {
        **HELLO,
        "max_tokens": 2,
        "stop": None,
        "seed": None,
        "n": None,
        "stream_options": None,
        "user": "me",
    }
    assert talk(server, lambda client: post(client, CHAT, body))[0] == 200


def test_counters_equal_what_was_served(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        before = await counters(client)
        bodies = [{**HELLO, "max_tokens": 3 + i % 5, "ignore_eos": True} for i in range(20)]
        options = {"stream_options": {"include_usage": True}}
        streams = await asyncio.gather(*(stream(client, CHAT, body | options) for body in bodies[:12]))
        wholes = await asyncio.gather(*(post(client, CHAT, body) for body in bodies[12:]))
        await post(client, CHAT, {"messages": []})  # refused: counts nowhere
        usages = [seen.usage or {} for seen in streams] + [answer["usage"] for _, answer in wholes]
        after = await counters(client)
        grown = {name: after[name] - before[name] for name in after}
        for name, key in (
            ("prompt_tokens_total", "prompt_tokens"),
            ("generation_tokens_total", "completion_tokens"),
        ):
            assert grown[name] == sum(usage[key] for usage in usages)
        ended = {name.partition(":")[2]: n for name, n in grown.items() if name.startswith("request_success")}
        assert ended == {"stop": 0, "length": 20, "abort": 0, "error": 0}
        assert grown["time_to_first_token_seconds_count"] == 20
        assert grown["e2e_request_latency_seconds_count"] == 20
        assert grown["inter_token_latency_seconds_count"] == sum(u["completion_tokens"] - 1 for u in usages)
        assert grown["request_queue_time_seconds_count"] == 20
        assert (after["num_requests_running"], after["num_requests_waiting"]) == (0, 0)

    talk(server, story)


@pytest.mark.parametrize(
    "flags",
    [("--engine", "sim", "--itl", "20ms"), pytest.param(("--model", "tiny"), marks=pytest.mark.torch)],
)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_client_that_leaves_frees_its_place_at_once(flags: tuple[str, ...], streamed: bool) -> None:
    """One place only: the second request can be answered because the first one's client went away."""
    if "tiny" in flags:
        pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> None:
        async def running(count: int) -> bool:
            return (await counters(client))["num_requests_running"] == count

        endless = {**HELLO, "stream": streamed, "max_tokens": 1900, "ignore_eos": True}
        first = asyncio.create_task(client.post(CHAT, json=endless))
        await until(lambda: running(1))
        second = asyncio.create_task(post(client, CHAT, {**HELLO, "max_tokens": 2, "ignore_eos": True}))
        if streamed:
            (await first).close()
        else:
            first.cancel()
        status, answer = await second
        assert (status, answer["usage"]["completion_tokens"]) == (200, 2)
        await until(lambda: running(0))
        assert (await counters(client))["request_success_total:abort"] == 1

    with serving(*flags, "--max-num-seqs", "1") as server:
        talk(server, story)
