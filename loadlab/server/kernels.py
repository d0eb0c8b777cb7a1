"""Decode attention over paged keys and values as Triton kernels: one new token per sequence, nothing copied.

Each program takes one sequence, one KV head and one part of the past, reads its blocks where they lie and
keeps a running softmax; where the past was cut into parts, a second kernel joins them. The query heads that
share a KV head are the rows of one small matrix product. With TRITON_INTERPRET=1 in the environment before
the import, the same code runs on CPU: that is how it is tested without a GPU.
"""

# ruff: noqa: N803  (constants of a kernel are capitals, as in Triton's own)
# mypy: disable-error-code="untyped-decorator, no-untyped-def"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE = 64  # tokens read at a time
_LANES = 16  # the least number of rows that tl.dot takes
_PROGRAMS = 256  # in flight at least: about two for each multiprocessor of a large GPU
_PARTS = 16


def paged_decode(query: Tensor, pool: Tensor, tables: Tensor, rows: Tensor, positions: Tensor) -> Tensor:
    """What each query sees of the tokens up to its own position: [sequences, heads · size] in its dtype.

    `query` [sequences, heads, size]; `pool` [blocks, block, 2 · KV heads, size], keys before values;
    `tables` [any, width] block numbers, of which sequence i uses row `rows[i]`.
    """
    count, heads, size = query.shape
    block, kv_heads = pool.shape[1], pool.shape[2] // 2
    parts = _parts(count * kv_heads)
    seen = torch.empty((count, heads, size), dtype=query.dtype, device=query.device)
    partial = query.new_empty((count, heads, parts, size), dtype=torch.float32)
    peaks = query.new_empty((count, heads, parts), dtype=torch.float32)
    sums = torch.empty_like(peaks)
    padded = triton.next_power_of_2(size)
    lanes = max(_LANES, triton.next_power_of_2(heads // kv_heads))
    _attend[(count, kv_heads, parts)](
        query, pool, tables, rows, positions, seen, partial, peaks, sums,
        size**-0.5, query.stride(0), tables.stride(0),
        KV=kv_heads, SHARE=heads // kv_heads, LANES=lanes, SIZE=size, PADDED=padded,
        BLOCK=block, TILE=_TILE, PARTS=parts,
    )  # fmt: skip
    if parts > 1:
        _join[(count * heads,)](partial, peaks, sums, seen, SIZE=size, PADDED=padded, PARTS=parts)
    return seen.view(count, -1)


def _parts(programs: int) -> int:
    """Into how many parts, a power of two, the past is cut so that few sequences still fill the GPU."""
    parts = 1
    while parts < _PARTS and parts * programs < _PROGRAMS:
        parts *= 2
    return parts


@triton.jit
def _attend(
    query, pool, tables, rows, positions, seen, partial, peaks, sums, scale, query_stride, table_width,
    KV: tl.constexpr, SHARE: tl.constexpr, LANES: tl.constexpr, SIZE: tl.constexpr, PADDED: tl.constexpr,
    BLOCK: tl.constexpr, TILE: tl.constexpr, PARTS: tl.constexpr,
):  # fmt: skip
    row, kv, part = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    lane, dim, at = tl.arange(0, LANES), tl.arange(0, PADDED), tl.arange(0, TILE)
    real = (lane[:, None] < SHARE) & (dim[None, :] < SIZE)
    heads = kv * SHARE + lane
    q = tl.load(query + row * query_stride + heads[:, None] * SIZE + dim[None, :], mask=real, other=0.0)
    length = tl.load(positions + row) + 1
    table = tables + tl.load(rows + row) * table_width
    tiles = (length + TILE - 1) // TILE
    each = (tiles + PARTS - 1) // PARTS
    peak = tl.full([LANES], -1e30, tl.float32)
    total = tl.zeros([LANES], tl.float32)
    sight = tl.zeros([LANES, PADDED], tl.float32)
    for tile in range(part * each, tl.minimum((part + 1) * each, tiles)):
        token = tile * TILE + at
        inside = token < length
        slot = tl.load(table + token // BLOCK, mask=inside, other=0).to(tl.int64) * BLOCK + token % BLOCK
        place = pool + (slot[:, None] * (2 * KV) + kv) * SIZE + dim[None, :]
        there = inside[:, None] & (dim[None, :] < SIZE)
        key = tl.load(place, mask=there, other=0.0)
        score = tl.dot(q, tl.trans(key), input_precision="ieee") * scale
        score = tl.where(inside[None, :], score, -1e30)
        higher = tl.maximum(peak, tl.max(score, 1))
        chance = tl.exp(score - higher[:, None])
        shrink = tl.exp(peak - higher)
        value = tl.load(place + KV * SIZE, mask=there, other=0.0)
        sight = sight * shrink[:, None] + tl.dot(chance.to(value.dtype), value, input_precision="ieee")
        total = total * shrink + tl.sum(chance, 1)
        peak = higher
    spot = (row * KV * SHARE + heads) * PARTS + part
    if PARTS == 1:
        tl.store(seen + spot[:, None] * SIZE + dim[None, :], sight / total[:, None], mask=real)
    else:
        tl.store(partial + spot[:, None] * SIZE + dim[None, :], sight, mask=real)
        tl.store(peaks + spot, peak, mask=lane < SHARE)
        tl.store(sums + spot, total, mask=lane < SHARE)


@triton.jit
def _join(partial, peaks, sums, seen, SIZE: tl.constexpr, PADDED: tl.constexpr, PARTS: tl.constexpr):
    head = tl.program_id(0)
    part, dim = tl.arange(0, PARTS), tl.arange(0, PADDED)
    peak = tl.load(peaks + head * PARTS + part)
    weight = tl.exp(peak - tl.max(peak, 0))
    total = tl.sum(tl.load(sums + head * PARTS + part) * weight, 0)
    spot = (head * PARTS + part[:, None]) * SIZE + dim[None, :]
    sight = tl.load(partial + spot, mask=dim[None, :] < SIZE, other=0.0)
    tl.store(seen + head * SIZE + dim, tl.sum(sight * weight[:, None], 0) / total, mask=dim < SIZE)
