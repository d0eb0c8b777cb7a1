"""Attention over pages sees what attention over the whole past sees; so does our kernel, interpreted."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server.attention import Gathered  # noqa: E402

pytestmark = pytest.mark.torch
HEADS, KV_HEADS, SIZE = 6, 2, 16


def pool_of(block: int) -> torch.Tensor:
    chance = torch.Generator().manual_seed(2)
    return torch.randn(40, block, 2 * KV_HEADS, SIZE, generator=chance)


def plainly(query: torch.Tensor, pool: torch.Tensor, table: list[int], start: int) -> torch.Tensor:
    """One sequence by the textbook: `query` [width, heads, size] at positions from `start`."""
    past = pool[table].reshape(-1, 2 * KV_HEADS, SIZE).double()
    seen = torch.empty(query.shape, dtype=torch.float64)
    for t in range(len(query)):
        for head in range(HEADS):
            kv = head * KV_HEADS // HEADS
            scores = past[: start + t + 1, kv] @ query[t, head].double() / SIZE**0.5
            seen[t, head] = scores.softmax(-1) @ past[: start + t + 1, KV_HEADS + kv]
    return seen.flatten(1).float()


@pytest.mark.parametrize("block", [1, 4, 16])
@pytest.mark.parametrize(("width", "starts"), [(1, [0, 9, 15]), (5, [0, 3, 10]), (7, [0, 0])])
def test_gathered_sees_the_past_and_no_more(block: int, width: int, starts: list[int]) -> None:
    pool, rows = pool_of(block), len(starts)
    count = -(-(max(starts) + width) // block)
    tables = torch.randperm(39, generator=torch.Generator().manual_seed(3))[: rows * count] + 1
    tables = tables.view(rows, count) if rows * count < 39 else (torch.arange(count).repeat(rows, 1) + 1)
    query = torch.randn(2 + rows * width, HEADS, SIZE, generator=torch.Generator().manual_seed(4))
    mask = None
    if any(starts) or width == 1:
        positions = torch.tensor(starts)[:, None] + torch.arange(width)
        mask = torch.arange(count * block) <= positions[..., None]
    group = Gathered(2, rows, width, tables, mask)
    seen = group.attend(query[group.tokens], pool)
    expected = [
        plainly(query[2 + row * width : 2 + (row + 1) * width], pool, tables[row].tolist(), start)
        for row, start in enumerate(starts)
    ]
    torch.testing.assert_close(seen, torch.cat(expected), rtol=1e-5, atol=1e-5)


# A process of its own, because Triton decides at import whether it compiles or interprets.
@pytest.mark.skipif(
    find_spec("triton") is None,
    reason="needs Triton: pip install 'loadlab[kernels]' (comes with torch for CUDA)",
)
@pytest.mark.parametrize("case", ["kernel", "runner"])
def test_our_kernel_sees_what_torch_sees(case: str) -> None:
    script = os.path.join(os.path.dirname(__file__), "interpreted_kernel.py")
    done = subprocess.run(
        [sys.executable, script, case],
        env={**os.environ, "TRITON_INTERPRET": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("equal") >= 3, done.stdout
