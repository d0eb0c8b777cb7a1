"""The engine's loop over real pipes: several fronts, one that leaves, memory that runs out, switches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from loadlab.core.errors import LoadlabError
from loadlab.server import engine
from loadlab.server.engine import Loop, Options
from loadlab.server.job import Choice, Counts, EngineError, Sampling
from loadlab.server.kv import Pool
from loadlab.server.messages import Change, FromEngine, Step, Switched
from loadlab.server.plan import Chunk, Sequence
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches

TOO_LONG = 100
WAIT_S = 20


class Numbers:
    """Chooses 0, 1, 2 and so on; has no memory for prompts of TOO_LONG tokens."""

    def __init__(self, overlaps: bool) -> None:
        self.overlaps = overlaps
        self.begun, self.may_end = threading.Semaphore(0), threading.Semaphore(10_000)

    def hold(self) -> None:
        """From now on a step ends only when it is let."""
        self.may_end = threading.Semaphore(0)

    def launch(self, plan: list[Chunk]) -> Callable[[], list[list[Choice]]]:
        if any(chunk.count >= TOO_LONG for chunk in plan):
            raise LoadlabError("out of memory: a step does not fit")
        choices = [[Choice(chunk.sequence.generated, -0.5)] if chunk.samples else [] for chunk in plan]
        self.begun.release()
        return lambda: choices if self.may_end.acquire(timeout=WAIT_S) else []


class Bench:
    """A loop on a thread, and the two ends of it that its fronts have."""

    def __init__(self, overlaps: bool, blocks: int = 40) -> None:
        ours, theirs = zip(*(Pipe() for _ in range(2)), strict=True)
        self.fronts: list[Connection] = list(ours)
        self.pool = Pool(blocks)
        scheduler = Scheduler(self.pool, Switches(max_num_seqs=4), end=-1)
        self.runner = Numbers(overlaps)
        self.thread = threading.Thread(target=Loop(list(theirs), scheduler, self.runner).run)
        self.thread.start()

    def close(self) -> None:
        for front in self.fronts:
            front.close()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()  # without fronts it ends

    def next(self, front: int) -> FromEngine:
        assert self.fronts[front].poll(WAIT_S), "the engine said nothing"
        message: FromEngine = self.fronts[front].recv()
        return message

    def steps(self, front: int, until: Callable[[Step], bool]) -> list[Step]:
        seen: list[Step] = []
        while not seen or not until(seen[-1]):
            message = self.next(front)
            assert isinstance(message, Step)
            seen.append(message)
        return seen


@pytest.fixture(params=[False, True], ids=["in turn", "overlapping"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    made = Bench(request.param)
    yield made
    made.close()


def job(name: str, prompt: int = 5, limit: int = 3, **sampling: int) -> Sequence:
    return Sequence(name, [1] * prompt, limit, Sampling(**sampling))


def ended(name: str) -> Callable[[Step], bool]:
    return lambda step: any(piece[0] == name and piece[2] for piece in step.pieces)


def idle(step: Step) -> bool:
    return (step.load.running, step.load.waiting) == (0, 0)


def test_each_front_hears_of_its_own_requests_only(bench: Bench) -> None:
    bench.fronts[0].send(job("a", limit=30))
    bench.fronts[1].send(job("b", limit=40))
    for front, name, limit in ((0, "a", 30), (1, "b", 40)):
        steps = bench.steps(front, ended(name))
        pieces = [piece for step in steps for piece in step.pieces]
        assert {piece[0] for piece in pieces} == {name}
        assert [token for piece in pieces for token in piece[1]] == list(range(limit))
        assert [piece[2] for piece in pieces] == [None] * (limit - 1) + ["length"]
        assert [(told[0], told[2]) for step in steps for told in step.admitted] == [(name, 0)]


def test_in_the_end_every_front_knows_that_nothing_runs(bench: Bench) -> None:
    bench.fronts[0].send(job("a"))
    assert bench.steps(0, idle)[-1].load.kv_usage == 0
    assert bench.steps(1, idle)[-1].load.counts == replace(
        Counts(), prefix_queries=5, prompt_tokens_computed=5, generated=3, steps=3,
        steps_by_tokens=(2, 0, 0, 1, *[0] * 12),  # 5 + 1 tokens, then twice 1
    )  # fmt: skip


def test_choices_are_told_to_those_that_asked(bench: Bench) -> None:
    bench.fronts[0].send(job("a"))
    bench.fronts[0].send(job("b", logprobs=0))
    steps = bench.steps(0, ended("b"))
    told = [(name, choices) for step in steps for name, choices in step.choices.items()]
    assert told == [("b", [Choice(token, -0.5)]) for token in range(3)]


def test_out_of_memory_fails_the_requests_of_that_step_and_no_other(bench: Bench) -> None:
    bench.fronts[1].send(job("big", prompt=TOO_LONG))
    [failed] = bench.steps(1, lambda step: bool(step.failed))[-1].failed
    assert failed == ("big", "out of memory: a step does not fit")
    bench.fronts[0].send(job("small"))
    assert bench.steps(0, ended("small"))
    assert bench.pool.free == bench.pool.total


def test_what_can_never_fit_fails_in_words(bench: Bench) -> None:
    bench.fronts[0].send(job("endless", limit=10_000))
    [failed] = bench.steps(0, lambda step: bool(step.failed))[-1].failed
    assert failed[0] == "endless"
    assert "the KV cache holds" in failed[1]


def test_a_front_that_leaves_takes_its_requests_along(bench: Bench) -> None:
    bench.fronts[0].send(job("a", limit=600))
    bench.steps(0, lambda step: bool(step.pieces))
    bench.fronts[0].close()
    bench.fronts[1].send(job("b", limit=50))
    steps = bench.steps(1, ended("b"))
    assert idle(steps[-1])
    assert bench.pool.free == bench.pool.total


def test_a_front_that_does_not_read_does_not_hold_up_the_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "_PATIENCE_S", 1)
    bench = Bench(overlaps=True, blocks=4000)
    bench.fronts[0].send(job("unread", limit=5000))  # more steps than its pipe can hold
    bench.fronts[1].send(job("read", limit=5000))
    steps = bench.steps(1, ended("read"))
    assert sum(len(piece[1]) for step in steps for piece in step.pieces) == 5000
    assert idle(steps[-1])
    assert bench.pool.free == bench.pool.total
    assert "front 0 has not read for 1 s" in capfd.readouterr().err
    bench.close()


def test_an_abort_is_obeyed_at_once(bench: Bench) -> None:
    bench.runner.hold()
    bench.fronts[0].send(job("a", limit=600))
    bench.runner.begun.acquire(timeout=WAIT_S)
    bench.fronts[0].send("a")
    bench.runner.may_end.release()
    assert sum(len(step.pieces) for step in bench.steps(0, idle)) == 1
    assert bench.pool.free == bench.pool.total
    bench.fronts[0].send("unknown")
    assert idle(bench.steps(0, idle)[-1])


def test_the_last_token_of_one_is_told_though_all_others_are_aborted(bench: Bench) -> None:
    bench.runner.hold()
    bench.fronts[0].send(job("a", limit=600))
    bench.runner.begun.acquire(timeout=WAIT_S)
    bench.fronts[1].send(job("b", limit=1))
    bench.runner.may_end.release()
    bench.runner.begun.acquire(timeout=WAIT_S)  # now both are in it
    bench.fronts[0].send("a")
    bench.runner.may_end.release()
    assert ended("b")(bench.steps(1, lambda step: bool(step.pieces))[-1])
    assert idle(bench.steps(0, idle)[-1])


def test_a_switch_is_told_to_every_front(bench: Bench) -> None:
    bench.fronts[0].send(Change(3, {"prefix_cache": False}))
    for front, number in ((0, 3), (1, 0)):
        message = bench.next(front)
        assert message == Switched(number, Switches(max_num_seqs=4, prefix_cache=False))
    assert not bench.pool.caching


def test_options_say_how_the_techniques_begin() -> None:
    assert Options("tiny").switches() == Switches()
    whole = Options("tiny", budget=0).switches()
    assert (whole.chunked_prefill, whole.max_num_batched_tokens) == (False, 2048)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warp": 1}, "There is no setting 'warp'; these can be switched: batching, "),
        ({"quant": "int8"}, "'quant' is 'none' since the server started; restart it"),
        ({"batching": "eager"}, "batching must be one of continuous, static, not 'eager'"),
        ({"prefix_cache": 1}, "prefix_cache must be true or false, not 1"),
        ({"max_num_seqs": True}, "max_num_seqs must be a whole number, not True"),
        ({"speculate_tokens": 0}, "speculate_tokens must be at least 1, not 0"),
        ({"prefix_cache": False, "speculate": "both"}, "speculate must be one of off, ngram, draft"),
    ],
)
def test_a_bad_change_is_refused_in_words(changes: dict[str, object], words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        Switches().changed(changes, {"quant": "none"})
    assert caught.value.status == 400


def test_settings_say_what_can_be_switched() -> None:
    document = Switches(batching="static").document({"quant": "int8"})
    assert document["batching"] == {"value": "static", "runtime": True}
    assert document["quant"] == {"value": "int8", "runtime": False}
    assert set(document) == {*asdict(Switches()), "quant"}


def test_counts_add_up() -> None:
    one = Counts(prefix_hits=1, accepted_per_position=(3, 1), restarts=1)
    other = Counts(prefix_hits=2, accepted_per_position=(1, 1, 1))
    assert one + other == Counts(prefix_hits=3, accepted_per_position=(4, 2, 1), restarts=1)
