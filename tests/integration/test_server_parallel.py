"""One engine per device behind one front: shared out, switched together, and one may fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from server_process import post, refused, serving, spawned, talk

pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server.engine import Options
from loadlab.server.job import Choice, EngineError, Finish, Job, Sampling
from loadlab.server.parallel import ParallelEngine
from loadlab.server.torch_engine import TorchEngine

pytestmark = pytest.mark.torch


class Ended:
    """Waits for the end of one job; see `job.Sink`."""

    def __init__(self) -> None:
        self.text, self.failed, self.event = "", False, asyncio.Event()

    def admitted(self, at_ns: int) -> None:
        return

    def cached(self, tokens: int) -> None:
        return

    def stopped(self, text: str) -> None:
        return

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        self.text += text
        if finish:
            self.event.set()
        return 0

    def fail(self, message: str) -> None:
        self.failed = True
        self.event.set()


async def ask(engine: ParallelEngine, count: int, limit: int = 30) -> list[Ended]:
    answers = [Ended() for _ in range(count)]
    for number, answer in enumerate(answers):
        sampling = Sampling(max_tokens=limit, ignore_eos=True)
        engine.submit(Job(str(number), engine.encode(f"The number {number}."), 0, sampling), answer)
    async with asyncio.timeout(30):
        for answer in answers:
            await answer.event.wait()
    return answers


def test_requests_are_shared_out_and_one_engine_may_fail() -> None:
    async def story() -> None:
        members = [TorchEngine(Options("tiny", device="cpu", threads=1)) for _ in range(2)]
        engine = ParallelEngine(members)
        await engine.start()
        try:
            usual = await ask(engine, 6)
            assert [member.load().counts.generated for member in members] == [90, 90]
            assert engine.load().counts.generated == 180
            assert (engine.device, engine.context, engine.places) == ("cpu, cpu", 2048, 128)
            await engine.configure({"prefix_cache": False})
            assert not any(member.settings()["prefix_cache"]["value"] for member in members)
            [*_, one] = spawned()
            one.kill()
            async with asyncio.timeout(30):
                while not any(member.trouble() for member in members):
                    await asyncio.sleep(0.01)
            assert engine.trouble() is None  # the other one goes on
            assert engine.places == 64
            with pytest.raises(EngineError, match="one of 2 engines cannot be switched now: restarting"):
                await engine.configure({"prefix_cache": True})
            again = await ask(engine, 6)
            assert [answer.text for answer in again] == [answer.text for answer in usual]
        finally:
            await engine.stop()

    asyncio.run(story())


@pytest.mark.parametrize("flags", [(), ("--frontends", "2")], ids=["one front", "two fronts"])
def test_several_devices_are_asked_for_with_commas(flags: tuple[str, ...]) -> None:
    async def story(client: aiohttp.ClientSession) -> None:
        async with client.get("/health") as response:
            assert (await response.json())["device"] == "cpu, cpu"
        body: dict[str, Any] = {"prompt": "a", "max_tokens": 20, "ignore_eos": True, "temperature": 0}
        answers = await asyncio.gather(*(post(client, "/v1/completions", body) for _ in range(6)))
        assert {status for status, _ in answers} == {200}
        assert len({answer["choices"][0]["text"] for _, answer in answers}) == 1

    with serving("--model", "tiny", "--device", "cpu,cpu", "--threads", "1", *flags) as server:
        talk(server, story)


def test_a_device_that_makes_no_sense_is_one_line() -> None:
    code, words = refused("--model", "tiny", "--device", "cpu,gpu")
    assert code == 2
    assert "gpu" in words
    assert len(words.splitlines()) == 1
