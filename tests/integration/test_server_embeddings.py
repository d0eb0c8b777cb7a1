"""Embeddings of the real model, beside a torch engine and behind several fronts."""

from __future__ import annotations

import aiohttp
import pytest
from server_process import post, serving, talk

pytestmark = pytest.mark.torch
BODY = {"input": ["A cat sat on the mat.", "A kitten rested on a rug.", "Interest rates rose again."]}


@pytest.mark.parametrize("flags", [(), ("--frontends", "2")], ids=["one front", "two fronts"])
def test_like_texts_have_like_vectors(flags: tuple[str, ...]) -> None:
    pytest.importorskip("torch", reason="needs the server extra")

    async def story(client: aiohttp.ClientSession) -> None:
        status, answer = await post(client, "/v1/embeddings", BODY)
        if status == 503:
            pytest.skip(f"the weights cannot be fetched here: {answer['error']['message']}")
        assert (status, answer["model"]) == (200, "all-minilm-l6-v2")
        cat, kitten, rates = (entry["embedding"] for entry in answer["data"])
        assert sum(map(float.__mul__, cat, kitten)) > 0.4 > sum(map(float.__mul__, cat, rates))
        assert answer["usage"]["prompt_tokens"] > 15

    with serving("--model", "tiny", *flags) as server:
        talk(server, story)
