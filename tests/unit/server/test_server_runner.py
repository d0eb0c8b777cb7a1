"""The runner: blocks of any size, drafts right and wrong, rows that change hands, words when memory ends."""

from __future__ import annotations

import functools
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.core.errors import LoadlabError  # noqa: E402
from loadlab.server import weights  # noqa: E402
from loadlab.server.job import Choice, Sampling  # noqa: E402
from loadlab.server.linear import Quant  # noqa: E402
from loadlab.server.model import Llama  # noqa: E402
from loadlab.server.placement import device_for, dtype_for, memory_in_words, place  # noqa: E402
from loadlab.server.plan import Chunk, Sequence  # noqa: E402
from loadlab.server.runner import TorchRunner  # noqa: E402

pytestmark = pytest.mark.torch
GREEDY = Sampling(ignore_eos=True)
WARM = Sampling(temperature=1.0, top_p=0.9, top_k=40, seed=5, ignore_eos=True)
TOKENS = 12


def made(block: int = 16, quant: Quant = "none", compiled: bool = False, device: str = "cpu") -> Llama:
    torch.set_num_threads(1)
    return place(
        weights.tiny(), device, max_num_seqs=4, context=128, block=block, quant=quant, compiled=compiled
    )


def sequences(model: Llama, sampling: Sampling) -> list[Sequence]:
    """Four prompts of 1 to 31 tokens, each with blocks for all that may come."""
    size = -(-64 // model.block)
    return [
        Sequence(
            str(i), [(5 * i + 3 * j) % 90 + 33 for j in range(1 + 10 * i)], TOKENS, sampling,
            blocks=list(range(1 + i * size, 1 + (i + 1) * size)),
        )
        for i in range(4)
    ]  # fmt: skip


def accept(chunk: Chunk, choices: list[Choice]) -> None:
    """What a scheduler does with the choices: as many as the draft had guessed, and one more."""
    sequence = chunk.sequence
    sequence.computed += chunk.count
    for place_, choice in enumerate(choices):
        sequence.tokens.append(choice.token)
        if place_ == len(chunk.draft) or chunk.draft[place_] != choice.token:
            return
        sequence.computed += 1


def answers(
    model: Llama,
    sampling: Sampling = GREEDY,
    piece: int = 99,
    drafts: list[list[int]] | None = None,
    **how: bool,
) -> list[list[int]]:
    """All four served together; `drafts` are guesses at the answers, up to three tried at a time."""
    runner, running = TorchRunner(model, 4, **how), sequences(model, sampling)
    while any(sequence.generated < TOKENS for sequence in running):
        plan = []
        for i, sequence in enumerate(running):
            wants, draft = sequence.wants, ()
            if drafts and wants == 1 and sequence.generated:
                draft = tuple(drafts[i][sequence.generated : sequence.generated + i])
            if sequence.generated < TOKENS:
                plan.append(Chunk(sequence, sequence.computed, min(wants, piece), wants <= piece, draft))
        for chunk, choices in zip(plan, runner.step(plan), strict=True):
            assert len(choices) == (1 + len(chunk.draft) if chunk.samples else 0)
            accept(chunk, choices)
    return [sequence.tokens[sequence.prompt :][:TOKENS] for sequence in running]


@pytest.mark.parametrize("sampling", [GREEDY, WARM])
def test_blocks_pieces_and_drafts_change_no_token(sampling: Sampling) -> None:
    expected = answers(made(), sampling)
    assert len({tuple(answer) for answer in expected}) == 4
    for block in (1, 4, 7):
        assert answers(made(block), sampling) == expected
    assert answers(made(), sampling, piece=3) == expected
    assert answers(made(), sampling, drafts=expected) == expected
    wrong = [[token + (at % 2) for at, token in enumerate(answer)] for answer in expected]
    assert answers(made(), sampling, drafts=wrong) == expected


@pytest.mark.parametrize("quant", ["int8", "int4"])
def test_quantised_answers_do_not_depend_on_the_batch_either(quant: Quant) -> None:
    model = made(quant=quant)
    together = answers(model)
    assert answers(model, piece=2) == together
    assert together != answers(made())


def test_a_row_that_changes_hands_forgets_its_owner() -> None:
    model = made()
    alone = answers(model)
    runner, running = TorchRunner(model, 1), sequences(model, GREEDY)  # one row for four sequences in turn
    for _ in range(TOKENS):
        for sequence in running:
            chunk = Chunk(sequence, sequence.computed, sequence.wants, True)
            accept(chunk, runner.step([chunk])[0])
    assert [sequence.tokens[sequence.prompt :] for sequence in running] == alone


def test_blocks_given_back_and_taken_again_are_seen() -> None:
    model = made()
    expected = answers(model)[3]
    runner, sequence = TorchRunner(model, 1), sequences(model, GREEDY)[3]
    for step in range(TOKENS):
        if step == 5:  # preempted: other blocks, everything computed again
            sequence.blocks, sequence.computed = [20, 3, 11, 7], 0
        chunk = Chunk(sequence, sequence.computed, sequence.wants, True)
        accept(chunk, runner.step([chunk])[0])
    assert sequence.tokens[sequence.prompt :] == expected


def test_an_answer_is_held_open_for_min_tokens() -> None:
    model = made()
    [_, sequence, *_] = sequences(model, Sampling(min_tokens=1))
    expected = answers(model)[1][0]
    model.config = replace(model.config, end=expected)  # what it would say is now what ends an answer
    [[choice]] = TorchRunner(model, 4).step([Chunk(sequence, 0, sequence.prompt, True)])
    assert choice.token != expected


def test_a_launched_step_gives_its_result_when_asked() -> None:
    model = made()
    [*_, sequence] = sequences(model, GREEDY)
    result = TorchRunner(model, 4).launch([Chunk(sequence, 0, sequence.prompt, True)])
    assert result() == [[Choice(answers(made())[3][0])]]


def test_compiled_layers_say_the_same_and_are_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.utils import counters

    expected = answers(made())
    # Without generating code, which takes a minute and a compiler; what is captured is the same.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    counters.clear()
    assert answers(made(compiled=True)) == expected
    assert not counters["graph_break"]
    assert counters["stats"]["unique_graphs"] <= 4  # two parts of a layer, for one token and for several


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu_kernel_graphs_and_drafts_change_no_token() -> None:
    expected = answers(made(device="cuda"), kernel=False, graphs=False)
    for block in (4, 16):
        model = made(block, device="cuda")
        assert answers(model, kernel=True, graphs=False) == expected
        assert answers(model, kernel=True, graphs=True) == expected
        assert answers(model, kernel=True, graphs=True, drafts=expected) == expected


def test_without_memory_it_says_what_did_not_fit_and_what_to_do() -> None:
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory"),
    ):
        words = r"out of memory on cpu: a step does not fit.*--num-blocks"
        with pytest.raises(LoadlabError, match=words), memory_in_words("cpu", "a step"):
            raise error
    with pytest.raises(RuntimeError, match="another"), memory_in_words("cpu", "a step"):
        raise RuntimeError("another")
    with pytest.raises(LoadlabError, match=r"out of memory on cpu: a model of 0.00 billion parameters"):
        place(weights.tiny(), "cpu", max_num_seqs=4, context=128, blocks=2**45)


def test_placement_refuses_in_words() -> None:
    with pytest.raises(LoadlabError, match="at least 10"):
        place(weights.tiny(), "cpu", max_num_seqs=4, context=128, blocks=9)
    with pytest.raises(LoadlabError, match="--block-size 0"):
        place(weights.tiny(), "cpu", max_num_seqs=4, context=128, block=0)
    with pytest.raises(LoadlabError, match=r"'fp8'.*bf16"):
        dtype_for("fp8", "cpu", torch.float32)
    assert dtype_for("bf16", "cpu", torch.float32) is torch.bfloat16
    assert dtype_for("auto", "cuda", torch.float16) is torch.bfloat16
    if torch.cuda.device_count() < 8:
        with pytest.raises(LoadlabError, match="--device cuda:7: torch sees"):
            device_for("cuda:7")
