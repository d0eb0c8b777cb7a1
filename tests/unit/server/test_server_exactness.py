"""The engine in float32 gives the same greedy tokens however the work is cut up."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server import weights  # noqa: E402
from loadlab.server.job import Sampling  # noqa: E402
from loadlab.server.kv import Pool  # noqa: E402
from loadlab.server.model import Llama  # noqa: E402
from loadlab.server.placement import place  # noqa: E402
from loadlab.server.plan import Chunk, Sequence  # noqa: E402
from loadlab.server.runner import TorchRunner  # noqa: E402
from loadlab.server.schedule import Scheduler  # noqa: E402
from loadlab.server.switches import Switches  # noqa: E402

pytestmark = pytest.mark.torch
PROMPTS = [[(7 * i + 3 * j) % 251 for j in range(5 + 9 * i)] for i in range(8)]
GREEDY = Sampling(ignore_eos=True)


@pytest.fixture(scope="module")
def model() -> Llama:
    torch.set_num_threads(1)  # so small a model gains nothing from two, and loses much on a busy machine
    return place(weights.tiny(), "cpu", max_num_seqs=8, context=512)


def generate(
    model: Llama,
    prompts: list[list[int]],
    sampling: Sampling = GREEDY,
    *,
    budget: int = 4096,
    blocks: int = 200,
    limit: int = 40,
    together: int = 8,
) -> tuple[list[list[int]], int]:
    """Generated tokens per prompt, all served together; and how many prefills began."""
    switches = Switches(max_num_seqs=together, max_num_batched_tokens=budget)
    scheduler = Scheduler(Pool(blocks), switches, end=weights.TINY.end)
    runner = TorchRunner(model)
    sequences = [Sequence(str(i), list(prompt), limit, sampling) for i, prompt in enumerate(prompts)]
    for sequence in sequences:
        scheduler.add(sequence)
    begun = 0
    while scheduler.busy:
        plan = scheduler.plan()
        begun += sum(chunk.start == 0 for chunk in plan)
        scheduler.advance(plan, runner.step(plan))
    return [sequence.tokens[sequence.prompt :] for sequence in sequences], begun


@pytest.fixture(scope="module")
def alone(model: Llama) -> list[list[int]]:
    """Each prompt served by itself, in one piece."""
    return [generate(model, [prompt])[0][0] for prompt in PROMPTS]


def test_eight_together_equal_each_alone(model: Llama, alone: list[list[int]]) -> None:
    assert generate(model, PROMPTS)[0] == alone
    assert len({tuple(tokens) for tokens in alone}) == len(alone)  # the answers do depend on the prompt


def test_thirty_two_together_equal_each_alone(model: Llama, alone: list[list[int]]) -> None:
    answers, begun = generate(model, PROMPTS * 4, blocks=260, together=32)
    assert answers == alone * 4
    assert begun == 32  # nobody had to give way


@pytest.mark.parametrize("budget", [7, 16, 33])
def test_chunked_prefill_equals_whole(model: Llama, alone: list[list[int]], budget: int) -> None:
    assert generate(model, PROMPTS, budget=budget)[0] == alone


def test_preempted_equals_undisturbed(model: Llama, alone: list[list[int]]) -> None:
    tokens, begun = generate(model, PROMPTS, blocks=20)
    assert tokens == alone
    assert begun > len(PROMPTS)  # some were computed again


def test_a_seed_draws_the_same_at_any_batch_size(model: Llama) -> None:
    for sampling in (
        Sampling(temperature=1.0, seed=5, ignore_eos=True),
        Sampling(temperature=1.0, top_p=0.9, seed=5, ignore_eos=True),
    ):
        together, _ = generate(model, PROMPTS, sampling)
        assert [generate(model, [prompt], sampling)[0][0] for prompt in PROMPTS] == together
        assert together != generate(model, PROMPTS)[0]


def test_logits_equal_a_plain_dense_forward(model: Llama) -> None:
    prompt = PROMPTS[5]
    every = Sampling(logprobs=weights.TINY.vocabulary)
    sequence = Sequence("a", list(prompt), 1, every)
    Pool(10).grow(sequence, len(prompt))
    [[choice]] = TorchRunner(model).step([Chunk(sequence, 0, len(prompt), True)])
    seen = torch.tensor([logprob for _, logprob in sorted(choice.top)])
    torch.testing.assert_close(seen, dense(prompt).log_softmax(-1), rtol=1e-4, atol=1e-4)
    assert choice.token == int(seen.argmax())
    assert choice.logprob == float(seen.max())


def dense(prompt: list[int]) -> torch.Tensor:
    """The last logits by the textbook: no cache, no pages, one head at a time, float64."""
    config, tensors = weights.TINY, {n: t.double() for n, t in weights.tiny().tensors.items()}
    half = config.head_dim // 2
    angle = torch.outer(
        torch.arange(len(prompt)).double(), config.rope_base ** -(torch.arange(half).double() / half)
    )

    def rms(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + config.epsilon).sqrt() * weight

    def turn(x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, :half], x[:, half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    x = tensors["embed"][prompt]
    for i in range(config.layers):
        heads = (rms(x, tensors[f"{i}.attn_norm"]) @ tensors[f"{i}.qkv"].T).split(config.head_dim, -1)
        seen = []
        for head in range(config.heads):
            kv = config.heads + head * config.kv_heads // config.heads
            scores = turn(heads[head]) @ turn(heads[kv]).T / config.head_dim**0.5
            scores += torch.full_like(scores, -torch.inf).triu(1)
            seen.append(scores.softmax(-1) @ heads[kv + config.kv_heads])
        x = x + torch.cat(seen, -1) @ tensors[f"{i}.out"].T
        gate, up = (rms(x, tensors[f"{i}.ffn_norm"]) @ tensors[f"{i}.gate_up"].T).chunk(2, -1)
        x = x + (torch.nn.functional.silu(gate) * up) @ tensors[f"{i}.down"].T
    return (rms(x[-1], tensors["norm"]) @ tensors["embed"].T).float()
