"""A Llama-family model over a flat row of tokens with paged keys and values. Knows tensors, not requests.

The same code runs on CPU and CUDA, in float32 and bf16. How a projection multiplies is `linear.py`'s matter,
how tokens look at each other `attention.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from loadlab.server.attention import Group
from loadlab.server.linear import Quant, linear
from loadlab.server.weights import Config


@dataclass(frozen=True, slots=True)
class Batch:
    """One forward pass: flat token ids, positions and pool slots, and the tokens whose logits are wanted.

    The groups follow each other and cover the row. `wanted` None means every token.
    """

    tokens: Tensor
    positions: Tensor
    slots: Tensor
    groups: Sequence[Group]
    wanted: Tensor | None


class _Layer:
    """One layer's weights, and what it does before and after tokens look at each other."""

    def __init__(self, config: Config, tensors: Mapping[str, Tensor], index: int, quant: Quant) -> None:
        self.heads, self.size, self.epsilon = config.heads, config.head_dim, config.epsilon
        self.turned = config.heads + config.kv_heads
        self.attn_norm, self.ffn_norm = tensors[f"{index}.attn_norm"], tensors[f"{index}.ffn_norm"]
        self.qkv, self.out = linear(tensors[f"{index}.qkv"], quant), linear(tensors[f"{index}.out"], quant)
        self.gate_up = linear(tensors[f"{index}.gate_up"], quant)
        self.down = linear(tensors[f"{index}.down"], quant)


def _ask(layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Queries, keys and values [tokens, heads, size], the first two turned by their position."""
    normal = F.rms_norm(x, layer.attn_norm.shape, layer.attn_norm, layer.epsilon)
    qkv = layer.qkv(normal).view(len(x), -1, layer.size)
    turned = qkv[:, : layer.turned]
    across = turned.roll(layer.size // 2, -1) * sin
    turned.mul_(cos).add_(across)
    return qkv


def _take_in(layer: _Layer, x: Tensor, seen: Tensor) -> Tensor:
    """The layer's output: what was seen, then the feed-forward part, each added to what came in."""
    x = x + layer.out(seen)
    gate, up = layer.gate_up(F.rms_norm(x, layer.ffn_norm.shape, layer.ffn_norm, layer.epsilon)).chunk(2, -1)
    return x + layer.down(F.silu(gate) * up)


class Llama:
    """The model with its pool of `blocks` · `block` tokens' keys and values, all on one device in one dtype.

    `quant` holds for the projections; in int4 the head, which loses most by it, is int8. `compiled` lets
    torch.compile fuse what lies between the attentions: for a GPU only, on CPU it takes a minute for nothing.
    """

    def __init__(
        self,
        config: Config,
        tensors: Mapping[str, Tensor],
        blocks: int,
        block: int = 16,
        *,
        quant: Quant = "none",
        compiled: bool = False,
    ) -> None:
        self.config, self.blocks, self.block = config, blocks, block
        self._embed, self._norm = tensors["embed"], tensors["norm"]
        self._head = linear(tensors.get("head", self._embed), "int8" if quant == "int4" else quant)
        self._layers = [_Layer(config, tensors, i, quant) for i in range(config.layers)]
        shape = (blocks, block, 2 * config.kv_heads, config.head_dim)
        self.pools = [_pool(shape, self._embed) for _ in self._layers]
        self._cos, self._sin = _rotations(config, self._embed, tensors.get("rope_factors"))
        self._ask: Callable[..., Tensor] = torch.compile(_ask, dynamic=True) if compiled else _ask
        self._take_in: Callable[..., Tensor] = torch.compile(_take_in, dynamic=True) if compiled else _take_in

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self._embed.device

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Tensor:
        """Logits [wanted, vocabulary] in float32; keys and values of every token are kept in the pool."""
        x = F.embedding(batch.tokens, self._embed)
        cos, sin = self._cos[batch.positions][:, None], self._sin[batch.positions][:, None]
        for layer, pool in zip(self._layers, self.pools, strict=True):
            qkv = self._ask(layer, x, cos, sin)
            pool.view(-1, *pool.shape[2:]).index_copy_(0, batch.slots, qkv[:, layer.heads :])
            query = qkv[:, : layer.heads]
            parts = [group.attend(query[group.tokens], pool) for group in batch.groups]
            x = self._take_in(layer, x, parts[0] if len(parts) == 1 else torch.cat(parts))
        if batch.wanted is not None:
            x = x[batch.wanted]
        return self._head(F.rms_norm(x, self._norm.shape, self._norm, self.config.epsilon)).float()


def _pool(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Zeros; on CPU from calloc, which touches no memory, where torch would write all of it at start."""
    if like.device.type != "cpu":
        return like.new_zeros(shape)
    raw = np.zeros((*shape[:-1], shape[-1] * like.element_size()), np.uint8)
    return torch.from_numpy(raw).view(like.dtype)


def _rotations(config: Config, like: Tensor, factors: Tensor | None) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines per position: rotated = x · cos + roll(x, half) · sin."""
    speeds = config.rope_base ** -(torch.arange(0, config.head_dim, 2).float() / config.head_dim)
    if factors is not None:  # models of long context turn slow pairs more slowly still
        speeds = speeds / factors.float().cpu()
    angles = torch.outer(torch.arange(config.context).float(), speeds)
    cos = torch.cat([angles, angles], -1).cos()
    sin = torch.cat([-angles, angles], -1).sin()
    return cos.to(like), sin.to(like)
