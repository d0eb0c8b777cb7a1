"""How new tokens look at paged keys and values. Knows blocks and masks, neither weights nor requests.

A pool of one layer is [blocks, block, 2 · KV heads, size], keys before values, so that a token is written
with one operation and a block is read with one. `Gathered` copies the blocks side by side and calls torch's
attention: any device, any number of new tokens. `Paged` reads them where they lie with our own kernel: single
tokens on a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Group(Protocol):
    """Sequences that are computed alike; their new tokens lie side by side in the flat row."""

    @property
    def tokens(self) -> slice:
        """Where in the flat row."""

    def attend(self, query: Tensor, pool: Tensor) -> Tensor:
        """What the group's queries [tokens, heads, size] see: [tokens, heads · size]."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """`rows` sequences with `width` new tokens each, from flat token `start`.

    `tables` [rows, n] are the blocks they look at, `mask` [rows, width, n · block] which of those tokens they
    may; without a mask their new tokens are all they have, and each sees those up to itself.
    """

    start: int
    rows: int
    width: int
    tables: Tensor
    mask: Tensor | None
    _flat: Tensor = field(init=False)
    _lanes: dict[int, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_flat", self.tables.reshape(-1))

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.rows * self.width)

    def attend(self, query: Tensor, pool: Tensor) -> Tensor:
        size, kv_heads = pool.shape[3], pool.shape[2] // 2
        past = pool.index_select(0, self._flat).view(self.rows, -1, 2 * kv_heads, size).transpose(1, 2)
        keys, values = past[:, :kv_heads], past[:, kv_heads:]
        if self.mask is None:
            return self._causal(query, keys, values)
        share = query.shape[1] // kv_heads  # queries that share a KV head become rows of one small product
        query = query.reshape(self.rows, self.width, kv_heads, share, size).permute(0, 2, 3, 1, 4)
        query = query.reshape(self.rows, kv_heads, share * self.width, size)
        seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=self._lane_mask(share))
        seen = seen.view(self.rows, kv_heads, share, self.width, size).permute(0, 3, 1, 2, 4)
        return seen.reshape(self.rows * self.width, -1)

    def _causal(self, query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        query = query.view(self.rows, self.width, -1, query.shape[2]).transpose(1, 2)
        keys, values = keys[:, :, : self.width], values[:, :, : self.width]
        seen = F.scaled_dot_product_attention(query, keys, values, is_causal=True, enable_gqa=True)
        return seen.transpose(1, 2).reshape(self.rows * self.width, -1)

    def _lane_mask(self, share: int) -> Tensor:
        """The mask for `share` query heads in a row, made once for all layers."""
        if share not in self._lanes:
            assert self.mask is not None
            self._lanes[share] = self.mask.repeat(1, share, 1)[:, None]
        return self._lanes[share]


@dataclass(frozen=True, slots=True)
class Paged:
    """The first `count` tokens of the flat row, each the only new one of its sequence.

    Sequence i uses row `rows[i]` of `tables` and sees the tokens up to `positions[i]`.
    """

    count: int
    tables: Tensor
    rows: Tensor
    positions: Tensor

    @property
    def tokens(self) -> slice:
        return slice(0, self.count)

    def attend(self, query: Tensor, pool: Tensor) -> Tensor:
        from loadlab.server.kernels import paged_decode

        return paged_decode(query, pool, self.tables, self.rows, self.positions)
