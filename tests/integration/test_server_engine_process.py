"""The engine behind its own process: answers, techniques switched on the way, death and return."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from server_process import spawned

pytest.importorskip("torch", reason="needs the server extra")

from loadlab.core.errors import LoadlabError
from loadlab.server.engine import Options
from loadlab.server.job import Choice, EngineError, Finish, Job, Sampling
from loadlab.server.supervision import Patience
from loadlab.server.torch_engine import TorchEngine

pytestmark = pytest.mark.torch
PROMPT = "Tell me a story about a fox. " * 4


@dataclass
class Answer:
    """Collects what an engine says about one job; see `job.Sink`."""

    text: str = ""
    tokens: int = 0
    found: int | None = None
    choices: list[Choice] = field(default_factory=list)
    failure: str | None = None
    stop: str | None = None
    finish: Finish | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def admitted(self, at_ns: int) -> None:
        assert at_ns > 0

    def cached(self, tokens: int) -> None:
        assert self.found is None
        self.found = tokens

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        assert not self.ended.is_set()
        self.text += text
        self.tokens += tokens
        self.choices += choices
        self.begun.set()
        if finish:
            self.finish = finish
            self.ended.set()
        return 0

    def stopped(self, text: str) -> None:
        self.stop = text

    def fail(self, message: str) -> None:
        self.failure = message
        self.ended.set()


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[TorchEngine]:
    engine = TorchEngine(Options("tiny", **{"threads": 1, **options}))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def submit(
    engine: TorchEngine, name: str, prompt: str = PROMPT, priority: int = 0, **sampling: Any
) -> Answer:
    answer = Answer()
    wishes = Sampling(**{"max_tokens": 40, "ignore_eos": True, **sampling})
    engine.submit(Job(name, engine.encode(prompt), 0, wishes, priority), answer)
    return answer


async def ask(engine: TorchEngine, prompt: str = PROMPT, **sampling: Any) -> Answer:
    answer = submit(engine, "it", prompt, **sampling)
    await asyncio.wait_for(answer.ended.wait(), 30)
    assert answer.failure is None
    return answer


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def play(story: Callable[[TorchEngine], Awaitable[None]], **options: Any) -> None:
    async def whole() -> None:
        async with running(**options) as engine:
            await story(engine)

    asyncio.run(whole())


def test_every_technique_can_be_switched_between_two_equal_answers() -> None:
    async def story(engine: TorchEngine) -> None:
        usual = await ask(engine)
        assert (usual.tokens, usual.finish, usual.found) == (40, "length", 0)
        assert (await ask(engine)).found == (len(PROMPT) - 1) // 16 * 16
        for changes in (
            {"prefix_cache": False},
            {"speculate": "ngram"},
            {"speculate": "draft", "speculate_tokens": 6},
            {"batching": "static", "chunked_prefill": False, "max_num_seqs": 1},
            {"chunked_prefill": True, "max_num_batched_tokens": 7},
        ):
            await engine.configure(changes)
            assert {name: engine.settings()[name]["value"] for name in changes} == changes
            answer = await ask(engine)
            assert (answer.text, answer.tokens, answer.found) == (usual.text, 40, 0)
        assert engine.load().counts.accepted_tokens > 20
        assert engine.settings()["draft_model"] == {"value": "tiny", "runtime": False}
        for wrong in ({"max_num_seqs": 999}, {"quant": "int8"}, {"colour": "red"}):
            with pytest.raises(EngineError) as caught:
                await engine.configure(wrong)
            assert caught.value.status == 400

    play(story, draft_model="tiny")


def test_a_stop_text_amid_guessed_tokens_counts_no_further() -> None:
    async def story(engine: TorchEngine) -> None:
        whole = (await ask(engine)).text
        stop = whole[-6:-3]
        place = whole.index(stop)
        answer = await ask(engine, stop=(stop,), logprobs=1)
        assert (answer.text, answer.finish, answer.stop) == (whole[:place], "stop", stop)
        assert answer.tokens == len(answer.choices) == place + len(stop)  # one byte each
        assert all(choice.logprob == choice.top[0][1] for choice in answer.choices)
        late = await ask(engine, stop=(whole[2:4],), min_tokens=4)
        place = whole.find(whole[2:4], 4)
        assert late.text == (whole if place < 0 else whole[:place])
        await until(lambda: engine.load().running == 0)

    play(story, speculate="draft", speculate_tokens=7, draft_model="tiny")


def test_a_killed_engine_fails_its_requests_is_started_again_and_remembers_its_settings() -> None:
    async def story(engine: TorchEngine) -> None:
        usual = await ask(engine)
        await engine.configure({"max_num_batched_tokens": 99})
        victim = submit(engine, "victim", max_tokens=1500)
        await victim.begun.wait()
        before = engine.load().counts
        [process] = spawned()
        process.kill()
        await asyncio.wait_for(victim.ended.wait(), 30)
        assert "ended unexpectedly" in (victim.failure or "")
        assert (engine.trouble() or "").startswith("restarting: the engine process ended unexpectedly")
        for refused in (
            lambda: submit(engine, "too early"),
            lambda: engine.configure({"prefix_cache": False}),
        ):
            with pytest.raises(EngineError, match="restarting") as caught:
                await refused()  # type: ignore[misc]
            assert caught.value.status == 503
        await until(lambda: engine.trouble() is None)
        again = await ask(engine)
        assert (again.text, again.found) == (usual.text, 0)  # its memory is gone
        assert engine.settings()["max_num_batched_tokens"]["value"] == 99
        after = engine.load().counts
        assert after.restarts == 1
        assert after.generated >= before.generated + 40

    play(story)


def test_a_batch_job_gives_its_place_to_an_interactive_one() -> None:
    async def story(engine: TorchEngine) -> None:
        slow = submit(engine, "slow", priority=1, max_tokens=300)
        await slow.begun.wait()
        quick = submit(engine, "quick", max_tokens=5)
        await asyncio.wait_for(quick.ended.wait(), 30)
        assert not slow.ended.is_set()
        await asyncio.wait_for(slow.ended.wait(), 30)
        assert engine.load().counts.preemptions == 1
        assert (await ask(engine, max_tokens=300)).text == slow.text

    play(story, max_num_seqs=1)


def test_few_blocks_mean_a_short_context_and_preemptions_but_the_same_answers() -> None:
    prompts = [f"{number}: {PROMPT}" for number in range(4)]

    async def story(engine: TorchEngine) -> None:
        assert engine.context == 18 * 16
        assert engine.load().kv_usage == 0
        answers = [submit(engine, prompt, prompt, max_tokens=60) for prompt in prompts]
        for answer in answers:
            await asyncio.wait_for(answer.ended.wait(), 30)
        assert engine.load().counts.preemptions > 0
        for prompt, answer in zip(prompts, answers, strict=True):
            assert (await ask(engine, prompt, max_tokens=60)).text == answer.text
        with pytest.raises(EngineError, match="of 300 tokens leaves no room in the context of 288") as caught:
            submit(engine, "long", "x" * 300)
        assert caught.value.status == 400
        assert (await ask(engine, "x" * 280, max_tokens=None)).tokens == 8  # until the context is full

    play(story, num_blocks=20)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"context": 10**6}, "--max-model-len 1000000 is more than the model's own context of 2048"),
        ({"num_blocks": 2}, "--num-blocks 2"),
        ({"speculate": "draft"}, "--speculate draft needs a model that guesses"),
        ({"device": "cuda:7"}, "--device cuda:7"),
    ],
)
def test_an_engine_that_cannot_be_set_up_says_why_and_is_not_started_again(
    options: dict[str, Any], words: str
) -> None:
    async def story() -> None:
        with pytest.raises(LoadlabError, match=words):
            async with running(**options):
                raise AssertionError("it has started")

    asyncio.run(story())


def test_patience_ends_and_grows_back() -> None:
    patience = Patience()
    pauses = [patience.pause_s() for _ in range(6)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, None]
