"""The simulated server against arithmetic, and on the wall clock against itself on the virtual one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from statistics import fmean

import pytest

from loadlab.core.clock import now_ns
from loadlab.core.errors import UsageError
from loadlab.server import presets, words
from loadlab.server.faults import parse_faults
from loadlab.server.job import Choice, EngineError, Finish, Job, Sampling
from loadlab.server.roofline import Hardware, Roofline, decoding, prefilling
from loadlab.server.simulation import Deployment
from loadlab.server.step_engine import StepEngine
from loadlab.server.switches import Switches
from loadlab.server.virtual import Ask, Outcome, simulate

S = 1_000_000_000
H100 = Hardware(presets.device("h100"), presets.model("llama-8b"))
SECONDS = Roofline(H100).seconds


def deployment(seqs: int = 64, budget: int = 4096, **more: object) -> Deployment:
    switches = Switches(max_num_seqs=seqs, max_num_batched_tokens=budget, prefix_cache=False)
    return Deployment(H100, switches, **more)  # type: ignore[arg-type]


def ask(tokens: int = 20, prompt: int = 50, at_ns: int = 0, first: int = 0) -> Ask:
    return Ask((first, *range(1, prompt)), tokens, at_ns)


def test_alone_every_gap_is_the_step_of_its_context() -> None:
    (served,) = simulate([ask(tokens=200)], deployment()).served
    gaps = [later - earlier for earlier, later in pairwise(served.times_ns)]
    assert served.ttft_ms == pytest.approx(SECONDS(prefilling(50)) * 1e3, rel=1e-6)
    assert gaps == [round(SECONDS(decoding(1, 50 + index)) * S) for index in range(199)]
    assert (served.tokens, served.finish, served.queue_ms) == (200, "length", 0)


@pytest.mark.parametrize("streams", [2, 8, 32])
def test_up_to_the_places_throughput_is_streams_over_the_step_time(streams: int) -> None:
    tokens = 300
    outcome = simulate([ask(tokens, first=i) for i in range(streams)], deployment(seqs=32))
    begin = max(served.times_ns[0] for served in outcome.served)
    end = min(served.times_ns[-1] for served in outcome.served)
    given = sum(sum(begin < at <= end for at in served.times_ns) for served in outcome.served)
    expected = streams / SECONDS(decoding(streams, 50 + tokens // 2))
    assert given * S / (end - begin) == pytest.approx(expected, rel=0.005)


def test_beyond_the_places_the_wait_follows_little_s_law() -> None:
    users, places, asks = 24, 8, 600
    outcome = simulate((ask(30, first=i) for i in range(asks)), deployment(seqs=places), users=users)
    steady = outcome.served[2 * users : -users]
    per_s = (len(steady) - 1) * S / (steady[-1].arrival_ns - steady[0].arrival_ns)
    wait_s = fmean(served.queue_ms or 0.0 for served in steady) / 1e3
    assert per_s * wait_s == pytest.approx(users - places, rel=0.02)


@pytest.mark.parametrize(("requests", "preemptions"), [(1, 0), (2, 1), (3, 2), (4, 3), (6, 5)])
def test_a_full_cache_takes_back_exactly_what_it_must(requests: int, preemptions: int) -> None:
    """Six blocks; each request begins with two and ends with four: of two that meet the younger gives way."""
    small = deployment(blocks=6, context=70)
    outcome = simulate([ask(tokens=33, prompt=32, first=i) for i in range(requests)], small)
    assert outcome.counts.preemptions == preemptions
    assert [served.tokens for served in outcome.served] == [33] * requests


@pytest.mark.parametrize(("acceptance", "drafted"), [(0.5, 3), (0.8, 4), (0.0, 2), (1.0, 2)])
def test_speculation_gives_the_tokens_that_theory_expects(acceptance: float, drafted: int) -> None:
    base = deployment(acceptance=acceptance)
    switches = replace(base.switches, speculate="ngram", speculate_tokens=drafted)
    outcome = simulate([ask(tokens=20_000)], replace(base, switches=switches))
    theory = drafted + 1 if acceptance == 1 else (1 - acceptance ** (drafted + 1)) / (1 - acceptance)
    assert outcome.served[0].tokens == 20_000
    assert 1 + outcome.counts.accepted_tokens / outcome.counts.drafts == pytest.approx(theory, rel=0.02)
    assert len(outcome.served[0].times_ns) == pytest.approx(20_000 / theory, rel=0.02)


def test_a_prompt_that_was_seen_is_not_computed_again() -> None:
    later = 10 * S
    base = deployment()
    cached = replace(base, switches=replace(base.switches, prefix_cache=True))
    asks = [ask(prompt=2000), ask(prompt=2000, at_ns=later)]
    first, second = simulate(asks, cached).served
    assert first.ttft_ms
    assert second.ttft_ms
    assert second.ttft_ms == pytest.approx(SECONDS(prefilling(16, 1984)) * 1e3, rel=1e-6)
    assert second.ttft_ms < first.ttft_ms / 2
    assert simulate(asks, base).served[1].ttft_ms == first.ttft_ms


def test_a_long_prompt_stalls_the_others_unless_it_comes_in_pieces() -> None:
    asks = [ask(tokens=100), ask(prompt=4000, at_ns=S // 10)]
    whole, pieces = (simulate(asks, deployment(budget=budget)).served[0] for budget in (8192, 256))
    assert longest(whole.times_ns) > 3 * longest(pieces.times_ns)


def longest(times_ns: Sequence[int]) -> int:
    return max(later - earlier for earlier, later in pairwise(times_ns))


def noisy(seed: int) -> Outcome:
    asks = (ask(40, first=i, at_ns=i * S // 50) for i in range(200))
    return simulate(asks, deployment(noise=0.3), seed=seed)


def test_noise_follows_the_seed_and_moves_times_only() -> None:
    first, again, other = noisy(1), noisy(1), noisy(2)
    assert [served.times_ns for served in first.served] == [served.times_ns for served in again.served]
    assert first.end_ns != other.end_ns
    assert [served.tokens for served in first.served] == [served.tokens for served in other.served]


def test_a_cold_engine_and_a_stall_make_a_step_longer() -> None:
    (plain,) = simulate([ask()], deployment()).served
    (cold,) = simulate([ask()], deployment(faults=parse_faults(["cold:5s"]))).served
    assert [at - 5 * S for at in cold.times_ns] == list(plain.times_ns)
    (stalled,) = simulate([ask()], deployment(faults=parse_faults(["stall:1:100ms"]))).served
    assert stalled.times_ns[-1] == plain.times_ns[-1] + 20 * S // 10


def test_a_context_that_the_memory_does_not_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="holds 96 tokens"):
        simulate([ask()], deployment(blocks=6, context=97))
    with pytest.raises(UsageError, match="131072"):
        simulate([ask()], deployment(context=200_000))


class Seen:
    """A sink that keeps what it got."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.finish: Finish | None = None
        self.failure = ""
        self.cached_tokens = 0

    def admitted(self, at_ns: int) -> None:
        self.admitted_ns = at_ns

    def cached(self, tokens: int) -> None:
        self.cached_tokens = tokens

    def push(self, text: str, tokens: int, finish: Finish | None, choices: Sequence[Choice] = ()) -> int:
        self.texts.append(text)
        self.finish = finish
        return now_ns()

    def fail(self, message: str) -> None:
        self.failure = message


def job(name: str, prompt: Sequence[int], tokens: int | None) -> Job:
    return Job(name, prompt, now_ns(), Sampling(max_tokens=tokens))


async def served_by(engine: StepEngine, sinks: Sequence[Seen]) -> None:
    while not all(sink.finish or sink.failure for sink in sinks):
        await asyncio.sleep(0.001)
    await engine.stop()


def test_the_wall_clock_gives_the_schedule_of_the_virtual_one() -> None:
    """The same arrivals, to the nanosecond, however late the event loop is."""
    plan = deployment(seqs=4, noise=0.2, faults=parse_faults(["stall:0.05:7ms"]))
    engine = StepEngine("sim", plan, seed=3)
    prompts = [(index, *range(1, 20 + 7 * index)) for index in range(12)]

    async def story() -> None:
        await engine.start()
        sinks = [Seen() for _ in prompts]
        for index, (prompt, sink) in enumerate(zip(prompts, sinks, strict=True)):
            engine.submit(job(str(index), prompt, 5 + index), sink)
            await asyncio.sleep(0.006)
        await served_by(engine, sinks)

    asyncio.run(story())
    entries = sorted(engine.ledger._entries, key=lambda entry: int(entry.id))
    asks = [Ask(prompts[i], 5 + i, entry.arrival_ns) for i, entry in enumerate(entries)]
    virtual = simulate(asks, plan, seed=3).served
    assert [list(entry.dues) for entry in entries] == [list(served.times_ns) for served in virtual]
    assert all(at >= due for entry in entries for at, due in zip(entry.writes, entry.dues, strict=True))


def test_an_answer_is_words_and_ends_by_itself_or_at_its_limit() -> None:
    engine = StepEngine("sim", deployment())

    async def story() -> list[Seen]:
        await engine.start()
        sinks = [Seen(), Seen()]
        engine.submit(job("a", words.encode("hello"), 7), sinks[0])
        engine.submit(job("b", words.encode("world"), None), sinks[1])
        await served_by(engine, sinks)
        return sinks

    limited, free = asyncio.run(story())
    assert "".join(limited.texts) == "this answer comes from a simulated engine"
    assert (limited.finish, free.finish, len(free.texts)) == ("length", "stop", words.NATURAL_TOKENS)


def test_a_conversation_that_quotes_the_answer_finds_it_in_the_cache() -> None:
    base = deployment()
    engine = StepEngine("sim", replace(base, switches=replace(base.switches, prefix_cache=True)))
    question = "word " * 40

    async def story() -> int:
        await engine.start()
        first, second = Seen(), Seen()
        engine.submit(job("a", engine.encode_chat([("user", question)]), 41), first)
        while not first.finish:
            await asyncio.sleep(0.001)
        turns = [("user", question), ("assistant", "".join(first.texts)), ("user", "and then?")]
        engine.submit(job("b", engine.encode_chat(turns), 2), second)
        await served_by(engine, [second])
        return second.cached_tokens

    # of the 42 tokens of the question two blocks are full; the answer begins after "assistant:"
    assert asyncio.run(story()) == 32


def test_an_abort_in_the_middle_of_a_step_frees_its_place() -> None:
    engine = StepEngine("sim", deployment(seqs=1))

    async def story() -> Seen:
        await engine.start()
        stuck, waiting = Seen(), Seen()
        engine.submit(job("stuck", (1, 2, 3), 100_000), stuck)
        engine.submit(job("waiting", (4, 5, 6), 3), waiting)
        await asyncio.sleep(0.02)
        assert not waiting.texts
        engine.abort("stuck")
        await served_by(engine, [waiting])
        assert engine.load().running == 0
        return waiting

    assert len(asyncio.run(story()).texts) == 3


def test_settings_can_be_read_and_switched() -> None:
    engine = StepEngine("sim", deployment())
    assert engine.settings()["prefix_cache"] == {"value": False, "runtime": True}
    assert engine.settings()["quant"] == {"value": "bf16", "runtime": False}
    asyncio.run(engine.configure({"prefix_cache": True}))
    assert engine.settings()["prefix_cache"]["value"] is True
    for changes in ({"quant": "int8"}, {"max_num_seqs": 65}, {"speculate": "draft"}, {"warp": 9}):
        with pytest.raises(EngineError) as refused:
            asyncio.run(engine.configure(changes))
        assert refused.value.status == 400


def test_it_never_passes_for_a_real_model() -> None:
    engine = StepEngine("sim-llama-8b", replace(deployment(), hardware=replace(H100, tensor_parallel=2)))
    assert engine.name == "sim"
    assert engine.device == "simulated 2 × h100 (datasheet, losses assumed)"
