"""Puts weights on a device: which one, which dtype, how many blocks. Says in words when they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from loadlab.core.errors import LoadlabError, UnknownNameError

if TYPE_CHECKING:
    import torch

    from loadlab.server.linear import Quant
    from loadlab.server.model import Llama
    from loadlab.server.weights import Weights

Precision = Literal["auto", "fp32", "bf16"]
_CPU_POOL_TOKENS = 65_536  # 1.5 GB for SmolLM2, touched only as it fills
_GPU_POOL_SHARE = 0.8  # of the memory that is free once the weights are there


def device_for(asked: str) -> str:
    """`cpu`, `cuda` or `cuda:N` for what was asked for or `auto`. Raises LoadlabError without such a GPU."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    kind, _, number = asked.partition(":")
    if kind == "cuda" and not int(number or 0) < count:
        raise LoadlabError(f"--device {asked}: torch sees {count} CUDA GPUs here; use --device cpu or auto.")
    return ("cuda" if count else "cpu") if asked == "auto" else asked


def describe(device: str) -> str:
    """The device for people: `cpu`, or `cuda` with the GPU's name."""
    import torch

    return "cpu" if device == "cpu" else f"{device} ({torch.cuda.get_device_name(device)})"


def place(
    weights: Weights,
    device: str,
    *,
    max_num_seqs: int,
    context: int,
    dtype: Precision = "auto",
    quant: Quant = "none",
    block: int = 16,
    blocks: int = 0,
    compiled: bool = False,
) -> Llama:
    """The model on its device. `blocks` 0 means as many as `max_num_seqs` whole contexts need, or as fit.

    Raises LoadlabError when the pool would not hold one whole context, or memory runs out.
    """
    import torch

    from loadlab.server.model import Llama

    config = weights.config
    if block < 1:
        raise LoadlabError(f"--block-size {block}: a block holds at least 1 token; use 16.")
    least = (
        -(-context // block) + 2
    )  # one whole context, the token that is chosen at its end, and padding's block
    if blocks and blocks < least:
        raise LoadlabError(
            f"--num-blocks {blocks} of {block} tokens do not hold one context of {context}; "
            f"use at least {least}, or a smaller --max-model-len."
        )
    if device.startswith("cuda"):
        torch.cuda.set_device(
            device
        )  # kernels and graphs run on the current device, wherever their tensors are
    with memory_in_words(device, f"a model of {_billions(weights)} parameters and its key-value pool"):
        number = dtype_for(dtype, device, weights.tensors["embed"].dtype)
        tensors = {name: tensor.to(device, number) for name, tensor in weights.tensors.items()}
        if not blocks:
            token = 2 * config.layers * config.kv_heads * config.head_dim * number.itemsize
            wanted = max_num_seqs * (-(-context // block) + 1) + 1
            blocks = max(least, min(wanted, _affordable(device, token) // block))
        return Llama(config, tensors, blocks, block, quant=quant, compiled=compiled)


def dtype_for(asked: str, device: str, stored: torch.dtype) -> torch.dtype:
    """The dtype to compute in. `auto`: float32 as stored, else bf16, or float32 where bf16 is emulated."""
    import torch

    named = {"fp32": torch.float32, "bf16": torch.bfloat16}
    if asked in named:
        return named[asked]
    if asked != "auto":
        raise UnknownNameError("dtype", asked, ("auto", *named))
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    if stored is torch.float32 or (device == "cpu" and not supported()):
        return torch.float32
    return torch.bfloat16


@contextmanager
def memory_in_words(device: object, what: str) -> Iterator[None]:
    """Turns running out of memory into a LoadlabError that says what did not fit and what to do."""
    import torch

    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise _no_room(device, what) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise _no_room(device, what) from error


def _no_room(device: object, what: str) -> LoadlabError:
    return LoadlabError(
        f"out of memory on {device}: {what} does not fit beside what is there{_free(str(device))}. Use fewer "
        "--num-blocks, a smaller --max-model-len, --max-num-batched-tokens or --max-num-seqs, --quant int8, "
        "or free the device."
    )


def _free(device: str) -> str:
    import torch

    if not device.startswith("cuda"):
        return ""
    free, total = torch.cuda.mem_get_info(device)
    return f" ({free / 2**30:.1f} of {total / 2**30:.1f} GiB are free)"


def _affordable(device: str, token_bytes: int) -> int:
    """Tokens that a pool may have."""
    import torch

    if device == "cpu":
        return _CPU_POOL_TOKENS
    return int(torch.cuda.mem_get_info(device)[0] * _GPU_POOL_SHARE) // token_bytes


def _billions(weights: Weights) -> str:
    return f"{sum(tensor.numel() for tensor in weights.tensors.values()) / 1e9:.2f} billion"
