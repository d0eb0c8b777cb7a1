"""Run by test_server_attention.py with TRITON_INTERPRET=1: our kernel against torch's attention, on CPU.

`kernel`: shapes, block sizes and lengths, in float32 and half precision (the interpreter's products of bf16
are wrong: it multiplies the bit patterns). `runner`: the tokens of whole generations, with and without padded
steps.
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F  # noqa: N812

from loadlab.server import weights
from loadlab.server.job import Sampling
from loadlab.server.kernels import paged_decode
from loadlab.server.kv import Pool
from loadlab.server.placement import place
from loadlab.server.plan import Sequence
from loadlab.server.runner import TorchRunner
from loadlab.server.schedule import Scheduler
from loadlab.server.switches import Switches

# Heads, KV heads, size, block, and how often over: the more sequences, the less the past of each is cut.
SHAPES = [(9, 3, 64, 16, 1), (4, 2, 16, 4, 6), (8, 1, 80, 1, 1), (8, 8, 32, 16, 8)]
POSITIONS = [0, 4, 63, 64, 129]


def compare(heads: int, kv_heads: int, size: int, block: int, times: int, dtype: torch.dtype) -> float:
    """The largest difference over sequences of all lengths."""
    positions = torch.tensor(POSITIONS * times)
    count, width = len(positions), -(-(max(POSITIONS) + 1) // block)
    pool = torch.randn(width + 50, block, 2 * kv_heads, size).to(dtype)
    query = torch.randn(count, heads + 2 * kv_heads, size).to(dtype)[
        :, :heads
    ]  # rows with a gap between them
    tables = torch.stack([torch.randperm(len(pool))[:width] for _ in range(count + 1)]).int()
    rows = torch.randperm(count) + 1
    seen = paged_decode(query, pool, tables, rows, positions).float()
    worst = 0.0
    for i, position in enumerate(positions.tolist()):
        past = (
            pool[tables[rows[i]].long()]
            .reshape(-1, 2 * kv_heads, size)[: position + 1]
            .float()
            .transpose(0, 1)
        )
        grouped = query[i].float().view(kv_heads, -1, size)
        expected = F.scaled_dot_product_attention(grouped, past[:kv_heads], past[kv_heads:]).reshape(-1)
        worst = max(worst, float((expected - seen[i]).abs().max()))
    return worst


def kernel() -> None:
    """Every shape in both precisions."""
    torch.manual_seed(0)
    for shape in SHAPES:
        for dtype, bound in ((torch.float32, 1e-5), (torch.float16, 1e-2)):
            worst = compare(*shape, dtype)
            assert worst < bound, (shape, dtype, worst)
            print("equal", shape, dtype, worst)


def generated(block: int, **options: bool) -> list[list[int]]:
    """Four answers of unequal length to unequal prompts, so that the batch shrinks as they end."""
    model = place(weights.tiny(), "cpu", max_num_seqs=4, context=256, block=block)
    scheduler = Scheduler(Pool(model.blocks, block), Switches(max_num_seqs=4), end=weights.TINY.end)
    runner = TorchRunner(model, 4, **options)
    sequences = [
        Sequence(
            str(i), [(7 * i + 3 * j) % 251 for j in range(1 + 19 * i)], 4 + 2 * i, Sampling(ignore_eos=True)
        )
        for i in range(5)
    ]
    for sequence in sequences:
        scheduler.add(sequence)
    while scheduler.busy:
        plan = scheduler.plan()
        scheduler.advance(plan, runner.step(plan))
    return [sequence.tokens[sequence.prompt :] for sequence in sequences]


def runner() -> None:
    """Tokens with our kernel, alone and in padded steps, equal those of torch's attention."""
    expected = generated(16, kernel=False)
    for block, graphs in ((4, True), (16, False), (16, True)):
        assert generated(block, kernel=True, graphs=graphs) == expected, (block, graphs)
        print("equal", block, graphs)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"kernel": kernel, "runner": runner}[sys.argv[1]]()
