"""A Llama-family model over a flat row of tokens with paged keys and values. Knows tensors, not requests.

Works on CPU and CUDA. Projections on CPU in bf16 use weights laid out for oneDNN, about twice as fast as
`F.linear` at small batches; where that private torch operator is missing they fall back to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from loadlab.server.schedule import BLOCK
from loadlab.server.weights import Config


@dataclass(frozen=True, slots=True)
class Group:
    """`rows` sequences of `width` new tokens each, beginning at flat token `start`.

    `slots` [rows, length] are the pool slots they look at, `mask` [rows, 1, width, length] which they may.
    """

    start: int
    rows: int
    width: int
    slots: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass: flat token ids, positions and pool slots, and the tokens whose logits are wanted."""

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    groups: Sequence[Group]
    wanted: Tensor


class Linear:
    """A projection without bias."""

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._packed = _packed(weight)

    def __call__(self, x: Tensor) -> Tensor:
        if self._packed is None:
            return F.linear(x, self._weight)
        projected: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, None, "none", [], "")
        return projected


def _packed(weight: Tensor) -> Tensor | None:
    """The weight in oneDNN's layout; None where that is not to be had (checked by using it once)."""
    if weight.device.type != "cpu" or weight.dtype is not torch.bfloat16:
        return None
    try:
        packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        torch.ops.mkldnn._linear_pointwise(weight.new_zeros(1, weight.shape[1]), packed, None, "none", [], "")
    except (AttributeError, RuntimeError, NotImplementedError):
        return None
    return packed


class _Layer:
    def __init__(self, tensors: Mapping[str, Tensor], index: int, pool: Tensor) -> None:
        self.attn_norm, self.ffn_norm = tensors[f"{index}.attn_norm"], tensors[f"{index}.ffn_norm"]
        self.qkv, self.out = Linear(tensors[f"{index}.qkv"]), Linear(tensors[f"{index}.out"])
        self.gate_up, self.down = Linear(tensors[f"{index}.gate_up"]), Linear(tensors[f"{index}.down"])
        self.keys, self.values = pool[0], pool[1]


class Llama:
    """The model with its KV pool of `blocks` blocks, all tensors on one device in one dtype."""

    def __init__(self, config: Config, tensors: Mapping[str, Tensor], blocks: int) -> None:
        self.config, self.blocks = config, blocks
        self._embed, self._norm = tensors["embed"], tensors["norm"]
        self._head = Linear(tensors["embed"])
        slots = (2, blocks * BLOCK, config.kv_heads, config.head_dim)
        self._layers = [_Layer(tensors, i, _pool(slots, self._embed)) for i in range(config.layers)]
        self._cos, self._sin = _rotations(config, self._embed)

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self._embed.device

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Tensor:
        """Logits [wanted, vocabulary] in float32; keys and values of every token are kept in the pool."""
        x = F.embedding(batch.tokens, self._embed)
        cos, sin = self._cos[batch.positions][:, None], self._sin[batch.positions][:, None]
        for layer in self._layers:
            x = x + layer.out(self._attention(layer, self._rms(x, layer.attn_norm), cos, sin, batch))
            gate, up = layer.gate_up(self._rms(x, layer.ffn_norm)).chunk(2, -1)
            x = x + layer.down(F.silu(gate) * up)
        return self._head(self._rms(x[batch.wanted], self._norm)).float()

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, (self.config.hidden,), weight, self.config.epsilon)

    def _attention(self, layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor, batch: Batch) -> Tensor:
        heads, kv_heads, size = self.config.heads, self.config.kv_heads, self.config.head_dim
        qkv = layer.qkv(x).view(-1, heads + 2 * kv_heads, size)
        turned, value = qkv[:, : heads + kv_heads], qkv[:, heads + kv_heads :]
        turned = turned * cos + turned.roll(size // 2, -1) * sin
        layer.keys.index_copy_(0, batch.slots, turned[:, heads:])
        layer.values.index_copy_(0, batch.slots, value)
        parts = [self._attend(layer, turned[:, :heads], group) for group in batch.groups]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(self, layer: _Layer, query: Tensor, group: Group) -> Tensor:
        config, tokens = self.config, group.rows * group.width
        keys = layer.keys[group.slots].transpose(1, 2)  # [rows, kv heads, length, size]
        values = layer.values[group.slots].transpose(1, 2)
        query = query[group.start : group.start + tokens]
        if group.width == 1:  # the queries that share a KV head become the rows of one small matmul
            query = query.reshape(group.rows, config.kv_heads, -1, config.head_dim)
            seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=group.mask)
            return seen.reshape(tokens, -1)
        query = query.view(group.rows, group.width, config.heads, config.head_dim).transpose(1, 2)
        seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=group.mask, enable_gqa=True)
        return seen.transpose(1, 2).reshape(tokens, -1)


def _pool(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros; on CPU from calloc, which touches no memory, where torch would write all of it at start."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    raw = np.zeros((*shape[:-1], shape[-1] * like.element_size()), np.uint8)
    return torch.from_numpy(raw).view(like.dtype)


def _rotations(config: Config, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines per position: rotated = x · cos + roll(x, half) · sin."""
    steps = torch.arange(0, config.head_dim, 2).float() / config.head_dim
    angles = torch.outer(torch.arange(config.context).float(), config.rope_base**-steps)
    cos = torch.cat([angles, angles], -1).cos()
    sin = torch.cat([-angles, angles], -1).sin()
    return cos.to(like), sin.to(like)
