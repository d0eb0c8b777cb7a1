"""How long a step takes on a simulated device, by the roofline model: pure arithmetic.

    t = host + kernels + max(weights read, products) + max(KV cache read, attention) + all-reduces

Projections and attention come one after the other, so each waits for memory or for math on its own. The rate
of the products saturates, n / (n + half_tokens), with the number n of new tokens. Knows no clock, no luck and
no requests.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import NamedTuple

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.server.presets import Device, Shape

# Bytes of a parameter; int4 in groups of 32 with a 16-bit scale. The head stays at 8 bit or more.
QUANTS = {"fp32": 4.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5625}
GRAPH_BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_KERNELS_PER_LAYER, _KERNELS_BESIDE = 8, 4
_GRAPH_WIDEST = 9  # a token and what was drafted after it
_ALL_REDUCES_PER_LAYER = 2
_GB, _TERA = 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Hardware:
    """A model on devices: `tensor_parallel` of them share its weights; `memory_share` of each may be used."""

    device: Device
    shape: Shape
    quant: str = "bf16"
    tensor_parallel: int = 1
    graphs: bool = True
    memory_share: float = 0.9

    def __post_init__(self) -> None:
        if self.quant not in QUANTS:
            raise UnknownNameError("precision", self.quant, QUANTS)
        if self.tensor_parallel < 1 or self.shape.kv_heads % self.tensor_parallel:
            raise UsageError(
                f"--tensor-parallel {self.tensor_parallel}: {self.shape.name} has {self.shape.kv_heads} KV "
                "heads; use a number that divides them."
            )

    @property
    def weight_bytes(self) -> float:
        """What the weights take in all."""
        small, head = QUANTS[self.quant], max(1.0, QUANTS[self.quant])
        return self.shape.body * small + (self.shape.stored - self.shape.body) * head

    @property
    def kv_bytes(self) -> float:
        """What one token takes in the KV cache in all."""
        return self.shape.kv_per_token * (4.0 if self.quant == "fp32" else 2.0)

    @property
    def memory_bytes(self) -> float:
        """What weights and KV cache may take in all."""
        return self.device.memory_gb * _GB * self.memory_share * self.tensor_parallel

    def fits(self) -> bool:
        """Whether the weights leave room for at least one token."""
        return self.memory_bytes - self.weight_bytes >= self.kv_bytes

    def kv_tokens(self) -> int:
        """Tokens that fit beside the weights. Raises UsageError when the weights do not fit."""
        if not self.fits():
            raise UsageError(
                f"{self.shape.name} in {self.quant} takes {self.weight_bytes / _GB:.0f} GB, but "
                f"{self.tensor_parallel} × {self.device.name} has {self.memory_bytes / _GB:.0f} GB to use; "
                "take a larger --tensor-parallel, a smaller --quant or another --hardware."
            )
        return int((self.memory_bytes - self.weight_bytes) / self.kv_bytes)


class Work(NamedTuple):
    """What one step computes: new tokens, tokens already cached that they look at, pairs of both, sequences,
    and positions whose logits are wanted. `widest` is the largest number of new tokens of a sequence."""

    tokens: int
    cached: int
    pairs: float
    sequences: int
    sampled: int
    widest: int


class Roofline:
    """The step time of one Hardware. Made once, asked for every step."""

    def __init__(self, hardware: Hardware) -> None:
        device, shape, losses = hardware.device, hardware.shape, hardware.device.losses
        self._losses, self._ways = losses, hardware.tensor_parallel
        self._graphs = hardware.graphs and device.graphs
        self._kernels = _KERNELS_PER_LAYER * shape.layers + _KERNELS_BESIDE
        small, head = QUANTS[hardware.quant], max(1.0, QUANTS[hardware.quant])
        self._read = shape.body * small + shape.head * head
        self._kv = hardware.kv_bytes
        bandwidth, rate = device.bandwidth_gb_per_s * _GB * self._ways, device.tflops * _TERA * self._ways
        self._bytes_per_s, self._kv_bytes_per_s = (
            bandwidth * losses.bandwidth_share,
            bandwidth * losses.kv_share,
        )
        self._rate, self._attention_rate = rate * losses.math_share, rate * losses.attention_share
        self._body, self._head = 2.0 * shape.body, 2.0 * shape.head
        self._pair = 4.0 * shape.layers * shape.heads * shape.head_dim
        self._reduced = shape.hidden * 2.0 / (device.link_gb_per_s * _GB)
        self._reduces = _ALL_REDUCES_PER_LAYER * shape.layers
        self._latency = device.link_latency_s

    def seconds(self, work: Work) -> float:
        """How long the step takes."""
        graph = self._graphs and work.widest <= _GRAPH_WIDEST and work.tokens <= GRAPH_BUCKETS[-1]
        tokens = GRAPH_BUCKETS[bisect_left(GRAPH_BUCKETS, work.tokens)] if graph else work.tokens
        return (
            self._losses.host_s
            + self._losses.host_seq_s * work.sequences
            + self._kernels * (self._losses.launch_s if graph else self._losses.eager_launch_s)
            + max(self._read / self._bytes_per_s, self._products_s(work, tokens))
            + self._attention_s(work)
            + self._reduce_s(tokens)
        )

    def _products_s(self, work: Work, tokens: int) -> float:
        operations = self._body * tokens + self._head * work.sampled
        return operations / self._rate * (1 + self._losses.half_tokens / tokens)

    def _attention_s(self, work: Work) -> float:
        read = (work.cached + work.tokens) * self._kv
        return max(read / self._kv_bytes_per_s, self._pair * work.pairs / self._attention_rate)

    def _reduce_s(self, tokens: int) -> float:
        """A ring over the devices: each sends what is to be summed about twice."""
        if self._ways == 1:
            return 0.0
        sent = 2.0 * (self._ways - 1) / self._ways * tokens * self._reduced
        return self._reduces * (self._latency + sent)


def decoding(sequences: int, context: int) -> Work:
    """A step in which each sequence, of `context` tokens, gets one more."""
    return Work(sequences, sequences * context, sequences * (context + 0.5), sequences, sequences, 1)


def prefilling(tokens: int, context: int = 0) -> Work:
    """A step that computes `tokens` of one prompt after `context` tokens of it, and samples."""
    return Work(tokens, context, tokens * (context + tokens / 2), 1, 1, tokens)
