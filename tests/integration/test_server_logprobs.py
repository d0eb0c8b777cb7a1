"""Probabilities of tokens, in the shapes of chat and of text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from server_process import Server, post, serving, stream, talk

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
HELLO = {
    "messages": [{"role": "user", "content": "Hello"}],
    "temperature": 0,
    "max_tokens": 6,
    "ignore_eos": True,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("torch", reason="needs the server extra")
    with serving("--model", "tiny", "--max-model-len", "400") as running:
        yield running


@pytest.mark.torch
def test_a_chat_answer_with_the_best_tokens_at_each_place(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {**HELLO, "logprobs": True, "top_logprobs": 3}
        _, whole = await post(client, CHAT, body)
        entries = whole["choices"][0]["logprobs"]["content"]
        assert len(entries) == 6
        for entry in entries:
            best = [other["logprob"] for other in entry["top_logprobs"]]
            assert len(best) == 3
            assert best == sorted(best, reverse=True)
            assert entry["logprob"] == pytest.approx(best[0])  # greedy takes the best
            assert sum(map(math.exp, best)) <= 1.0001
        assert (
            b"".join(bytes(entry["bytes"]) for entry in entries).decode("utf-8", "replace")
            == (whole["choices"][0]["message"]["content"])
        )
        seen = await stream(client, CHAT, body)
        streamed: list[Any] = []
        for choice in seen.choices[1:]:
            streamed += choice["logprobs"]["content"]
        assert [entry["bytes"] for entry in streamed] == [entry["bytes"] for entry in entries]

    talk(server, story)


@pytest.mark.torch
def test_a_text_answer_in_the_older_shape(server: Server) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        body = {"prompt": "Once", "temperature": 0, "max_tokens": 5, "ignore_eos": True}
        _, answer = await post(client, TEXT, {**body, "logprobs": 2})
        found = answer["choices"][0]["logprobs"]
        assert {name: len(found[name]) for name in found} == dict.fromkeys(
            ("text_offset", "token_logprobs", "tokens", "top_logprobs"), 5
        )
        assert found["text_offset"][0] == 0
        assert all(logprob <= 0 for logprob in found["token_logprobs"])
        _, bare = await post(client, TEXT, {**body, "logprobs": 0})
        assert bare["choices"][0]["logprobs"]["top_logprobs"] is None
        _, without = await post(client, TEXT, body)
        assert without["choices"][0]["logprobs"] is None

    talk(server, story)


def test_a_simulation_has_none() -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        status, answer = await post(client, CHAT, {**HELLO, "logprobs": True})
        assert (status, "probabilities" in answer["error"]["message"]) == (400, True)

    with serving("--engine", "sim") as sim:
        talk(sim, story)
