"""No technique changes an answer: float32, the tiny model, the real runner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server import weights  # noqa: E402
from loadlab.server.draft import DraftModel, Lookup  # noqa: E402
from loadlab.server.job import Counts, Sampling  # noqa: E402
from loadlab.server.kv import Pool  # noqa: E402
from loadlab.server.model import Llama  # noqa: E402
from loadlab.server.placement import place  # noqa: E402
from loadlab.server.plan import Proposer, Sequence  # noqa: E402
from loadlab.server.runner import TorchRunner  # noqa: E402
from loadlab.server.schedule import Scheduler  # noqa: E402
from loadlab.server.switches import Switches  # noqa: E402

pytestmark = pytest.mark.torch
CONTEXT = 512
SHARED = [(5 * j) % 251 for j in range(70)]
PROMPTS = [SHARED[: 10 * i] + [(7 * i + 3 * j) % 251 for j in range(5 + 9 * i)] for i in range(8)]
GREEDY = Sampling(ignore_eos=True)
DRAWN = Sampling(temperature=0.8, top_p=0.95, top_k=40, seed=11, ignore_eos=True)


@pytest.fixture(scope="module")
def model() -> Llama:
    torch.set_num_threads(1)
    return tiny()


def tiny(seed: int = 0, block: int = 16) -> Llama:
    return place(weights.tiny(seed), "cpu", max_num_seqs=8, context=CONTEXT, block=block)


class Served:
    """One engine without its process: asks it, keeps its pool between."""

    def __init__(
        self,
        model: Llama,
        *,
        blocks: int = 200,
        proposers: Mapping[str, Proposer] | None = None,
        **switches: Any,
    ) -> None:
        self.pool = Pool(min(blocks, model.blocks), model.block)
        settings = Switches(**{"max_num_seqs": 8, "max_num_batched_tokens": 4096, **switches})
        self.scheduler = Scheduler(self.pool, settings, end=weights.TINY.end, proposers=proposers)
        self.runner = TorchRunner(model, 8)

    @property
    def counts(self) -> Counts:
        return self.scheduler.load().counts

    def ask(self, *prompts: list[int], sampling: Sampling = GREEDY, limit: int = 40) -> list[list[int]]:
        sequences = [
            Sequence(str(i), list(prompt), limit, sampling, i % 2) for i, prompt in enumerate(prompts)
        ]
        for sequence in sequences:
            self.scheduler.add(sequence)
        while self.scheduler.busy:
            plan = self.scheduler.plan()
            self.scheduler.advance(plan, self.runner.step(plan))
        assert self.pool.free == self.pool.total
        return [sequence.tokens[sequence.prompt :] for sequence in sequences]


@pytest.fixture(scope="module", params=[GREEDY, DRAWN], ids=["greedy", "drawn"])
def sampling(request: pytest.FixtureRequest) -> Sampling:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def plain(model: Llama, sampling: Sampling) -> list[list[int]]:
    """Each prompt alone on a fresh engine with every technique off."""
    return [Served(model, prefix_cache=False).ask(prompt, sampling=sampling)[0] for prompt in PROMPTS]


def test_answers_found_in_the_prefix_cache_are_those_computed(
    model: Llama, sampling: Sampling, plain: list[list[int]]
) -> None:
    served = Served(model)
    assert served.ask(*PROMPTS, sampling=sampling) == plain
    before = served.counts
    assert served.ask(*PROMPTS, sampling=sampling) == plain
    again = served.counts.prefix_hits - before.prefix_hits
    assert again == sum((len(prompt) - 1) // 16 * 16 for prompt in PROMPTS)
    computed = served.counts.prompt_tokens_computed - before.prompt_tokens_computed
    assert computed + again == sum(map(len, PROMPTS))


def test_a_conversation_finds_its_own_answers(model: Llama) -> None:
    served = Served(model)
    [answer] = served.ask(PROMPTS[3])
    longer = [*PROMPTS[3], *answer, 7, 8, 9]
    assert served.ask(longer) == Served(model, prefix_cache=False).ask(longer)
    assert served.counts.prefix_hits > len(PROMPTS[3])


@pytest.mark.parametrize("block", [1, 4, 64])
def test_the_block_size_changes_nothing(block: int, sampling: Sampling, plain: list[list[int]]) -> None:
    served = Served(tiny(block=block), blocks=4096)
    assert served.ask(*PROMPTS, sampling=sampling) == plain
    assert served.ask(*PROMPTS, sampling=sampling) == plain


@pytest.mark.parametrize(
    "switches",
    [
        {"max_num_batched_tokens": 7},
        {"max_num_batched_tokens": 7, "chunked_prefill": False},
        {"batching": "static"},
        {"max_num_seqs": 1},
        {"blocks": 22},
        {"blocks": 22, "prefix_cache": False, "max_num_batched_tokens": 33},
    ],
    ids=str,
)
def test_how_work_is_cut_up_changes_nothing(
    model: Llama, sampling: Sampling, plain: list[list[int]], switches: dict[str, Any]
) -> None:
    served = Served(model, **switches)
    assert served.ask(*PROMPTS, sampling=sampling) == plain
    assert bool(served.counts.preemptions) == ("blocks" in switches)


def draft(seed: int) -> DraftModel:
    small = tiny(seed)
    return DraftModel(TorchRunner(small, 8), Pool(small.blocks, small.block, caching=False), CONTEXT)


@pytest.mark.parametrize("guesser", ["ngram", "same model", "other model"])
@pytest.mark.parametrize("blocks", [200, 22])
def test_guesses_change_nothing(
    model: Llama, sampling: Sampling, plain: list[list[int]], guesser: str, blocks: int
) -> None:
    proposer = {"ngram": Lookup, "same model": lambda: draft(0), "other model": lambda: draft(1)}[guesser]()
    served = Served(
        model,
        blocks=blocks,
        proposers={"draft": proposer},
        speculate="draft",
        speculate_tokens=3,
        speculate_max_seqs=8,
    )
    assert served.ask(*PROMPTS, sampling=sampling) == plain
    counts = served.counts
    assert counts.draft_tokens > 0
    assert counts.accepted_tokens == sum(counts.accepted_per_position)
    if guesser == "same model" and blocks == 200:
        assert counts.accepted_tokens == counts.draft_tokens
        assert counts.steps < 40 / 2
    if guesser == "other model":
        assert counts.accepted_tokens < counts.draft_tokens / 2


def test_an_answer_ends_at_its_limit_or_its_end_also_amid_guesses(model: Llama) -> None:
    switches = {"speculate": "draft", "speculate_tokens": 5, "speculate_max_seqs": 8}
    for limit in (1, 2, 3, 7):
        guessed = Served(model, proposers={"draft": draft(0)}, **switches)
        assert guessed.ask(PROMPTS[4], limit=limit) == Served(model).ask(PROMPTS[4], limit=limit)
    [tokens] = Served(model).ask(PROMPTS[4])
    end = tokens[20]
    for proposers in ({}, {"draft": draft(0)}):
        served = Served(model, proposers=proposers, **switches)
        served.scheduler = Scheduler(served.pool, Switches(**switches), end=end, proposers=proposers)
        assert served.ask(PROMPTS[4], sampling=Sampling()) == [tokens[: tokens.index(end) + 1]]


def test_with_many_running_nothing_is_guessed(model: Llama) -> None:
    served = Served(model, proposers={"ngram": Lookup()}, speculate="ngram", speculate_max_seqs=2)
    served.ask(*PROMPTS[:3])
    assert served.counts.drafts == 0
    served.ask(*PROMPTS[:2])
    assert served.counts.drafts > 0
