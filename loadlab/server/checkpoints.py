"""Reads Llama-family models from local files: one GGUF file, or a Hugging Face folder with safetensors.

In scope: what `model.py` computes, that is Llama and Mistral shapes without biases, experts or sliding
windows; all else is refused by name. GGUF becomes bf16 or float32, safetensors stay as they are. Nothing is
cached: the files are yours.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from loadlab.core.errors import LoadlabError
from loadlab.server.gguf import Gguf
from loadlab.server.vocabulary import tokeniser_of
from loadlab.server.weights import Config, Weights, shapes
from loadlab.server.wheels import cache_folder, say

_FAMILY = ("llama", "mistral")
_GGUF_PARTS = (
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "attn_norm",
    "ffn_norm",
    "ffn_down",
    "ffn_gate",
    "ffn_up",
)
_FOLDER_PARTS = dict(
    zip(
        _GGUF_PARTS,
        (
            *(f"self_attn.{name}_proj" for name in "qkvo"), "input_layernorm", "post_attention_layernorm",
            "mlp.down_proj", "mlp.gate_proj", "mlp.up_proj",
        ),
        strict=True,
    )
)  # fmt: skip


def from_gguf(path: Path, number: torch.dtype = torch.bfloat16) -> Weights:
    """A model from a GGUF file in the dtype `number`. LoadlabError: it is damaged or of another family."""
    gguf = Gguf.open(path)
    config = gguf_config(gguf, str(path))
    text = tokeniser_of(gguf.meta).to_str()
    _say_template(text, str(path))
    return Weights(config, gguf_tensors(gguf, config, number), _kept_tokeniser(text))


def from_folder(path: Path) -> Weights:
    """A model from a folder with config.json, tokenizer.json and safetensors. Raises LoadlabError."""
    facts, tokeniser = _json(path / "config.json"), path / "tokenizer.json"
    names = _json(tokeniser)
    _say_template(json.dumps(names["added_tokens"]), str(path))
    stored = _safetensors(path)
    config = _folder_config(facts, _json(path / "generation_config.json", {}), names, str(path))

    def take(name: str) -> Tensor:
        if name not in stored:
            raise LoadlabError(
                f"{path}: tensor '{name}' is missing; the folder is not whole, or of another family."
            )
        return stored[name]

    def part(layer: int, name: str) -> Tensor:
        return take(f"model.layers.{layer}.{_FOLDER_PARTS[name]}.weight")

    tensors = _tensors(config, take("model.embed_tokens.weight"), take("model.norm.weight"), part)
    if not facts.get("tie_word_embeddings", False) and "lm_head.weight" in stored:
        tensors["head"] = stored["lm_head.weight"][: config.vocabulary]
    if (factors := _rope_factors(facts, config, str(path))) is not None:
        tensors["rope_factors"] = factors
    return Weights(config, tensors, tokeniser)


def gguf_config(gguf: Gguf, name: str = "the weights file") -> Config:
    """The shape of the model in a GGUF file. Raises LoadlabError for another family."""
    meta = gguf.meta
    if (family := meta.get("general.architecture")) not in _FAMILY:
        raise LoadlabError(f"{name} is of family '{family}'; only {' and '.join(_FAMILY)} are computed here.")

    def get(key: str, *default: Any) -> Any:
        if f"{family}.{key}" not in meta and not default:
            raise LoadlabError(f"{name} does not say its {family}.{key}; it is damaged or of another family.")
        return meta.get(f"{family}.{key}", *default)

    heads, hidden = get("attention.head_count"), get("embedding_length")
    size = get("attention.key_length", hidden // heads)
    if get("expert_count", 0) or get("rope.dimension_count", size) != size:
        raise LoadlabError(f"{name} has experts or partly rotated heads, which are not computed here.")
    if get("rope.scaling.type", "none") not in ("none", "linear"):
        raise LoadlabError(
            f"{name} stretches its context by '{get('rope.scaling.type')}', not computed here."
        )
    return Config(
        layers=get("block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=get("attention.head_count_kv", heads),
        head_dim=size,
        ffn=get("feed_forward_length"),
        vocabulary=len(meta["tokenizer.ggml.tokens"]),
        context=get("context_length"),
        rope_base=get("rope.freq_base", 10_000.0),
        epsilon=get("attention.layer_norm_rms_epsilon"),
        end=meta["tokenizer.ggml.eos_token_id"],
    )


def gguf_tensors(gguf: Gguf, config: Config, number: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """The tensors of `weights.shapes` from a GGUF file, in the dtype `number`."""
    turned = {"attn_q": config.heads, "attn_k": config.kv_heads}

    def read(name: str) -> Tensor:
        return torch.from_numpy(gguf.tensor(name)).to(number)

    def part(layer: int, name: str) -> Tensor:
        tensor = read(f"blk.{layer}.{name}.weight")
        return unpermute(tensor, turned[name]) if name in turned else tensor

    tensors = _tensors(config, read("token_embd.weight"), read("output_norm.weight"), part)
    if "output.weight" in gguf:
        tensors["head"] = read("output.weight")
    if "rope_freqs.weight" in gguf:
        tensors["rope_factors"] = torch.from_numpy(gguf.tensor("rope_freqs.weight"))
    elif gguf.meta.get(f"{gguf.meta['general.architecture']}.rope.scaling.type") == "linear":
        factor = gguf.meta[f"{gguf.meta['general.architecture']}.rope.scaling.factor"]
        tensors["rope_factors"] = torch.full((config.head_dim // 2,), float(factor))
    return tensors


def unpermute(rows: Any, heads: int) -> Any:
    """Undoes llama.cpp's interleaving of rotary pairs; without it the text is fluent nonsense."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def _tensors(
    config: Config, embed: Tensor, norm: Tensor, part: Callable[[int, str], Tensor]
) -> dict[str, Tensor]:
    tensors = {"embed": embed[: config.vocabulary].contiguous(), "norm": norm}
    for i in range(config.layers):
        tensors[f"{i}.qkv"] = torch.cat([part(i, name) for name in ("attn_q", "attn_k", "attn_v")])
        tensors[f"{i}.gate_up"] = torch.cat([part(i, "ffn_gate"), part(i, "ffn_up")])
        tensors[f"{i}.out"], tensors[f"{i}.down"] = part(i, "attn_output"), part(i, "ffn_down")
        tensors[f"{i}.attn_norm"], tensors[f"{i}.ffn_norm"] = part(i, "attn_norm"), part(i, "ffn_norm")
    for name, shape in shapes(config).items():
        if tensors[name].shape != shape:
            found = tuple(tensors[name].shape)
            raise LoadlabError(f"tensor '{name}' is {found}, not {shape}: file and description disagree.")
    return tensors


def _folder_config(
    facts: dict[str, Any], generation: dict[str, Any], names: dict[str, Any], where: str
) -> Config:
    if (family := facts.get("model_type")) not in _FAMILY:
        raise LoadlabError(
            f"{where} is of family '{family}'; only {' and '.join(_FAMILY)} are computed here."
        )
    odd = [key for key in ("attention_bias", "mlp_bias", "sliding_window") if facts.get(key)]
    if odd:
        raise LoadlabError(f"{where}/config.json sets {' and '.join(odd)}, not computed here.")
    heads, hidden = facts["num_attention_heads"], facts["hidden_size"]
    return Config(
        layers=facts["num_hidden_layers"],
        hidden=hidden,
        heads=heads,
        kv_heads=facts.get("num_key_value_heads") or heads,
        head_dim=facts.get("head_dim") or hidden // heads,
        ffn=facts["intermediate_size"],
        vocabulary=min(facts["vocab_size"], _largest_token(names) + 1),  # rows beyond are padding
        context=facts["max_position_embeddings"],
        rope_base=float(_rope(facts).get("rope_theta") or facts.get("rope_theta") or 10_000.0),
        epsilon=facts["rms_norm_eps"],
        end=_end(generation.get("eos_token_id", facts.get("eos_token_id")), names),
    )


def _largest_token(names: dict[str, Any]) -> int:
    added = (token["id"] for token in names["added_tokens"])
    largest: int = max(*names["model"]["vocab"].values(), *added)
    return largest


def _end(stated: int | list[int] | None, names: dict[str, Any]) -> int:
    """The token that ends a turn: of several, the one that chat templates use."""
    several = stated if isinstance(stated, list) else [] if stated is None else [stated]
    turns: set[int] = {
        token["id"] for token in names["added_tokens"] if token["content"] in ("<|im_end|>", "<|eot_id|>")
    }
    if not several and not turns:
        raise LoadlabError("config.json does not say which token ends an answer: eos_token_id is missing.")
    usual: int = several[-1] if several else min(turns)
    return next((token for token in several if token in turns), usual)


def _rope(facts: dict[str, Any]) -> dict[str, Any]:
    return facts.get("rope_scaling") or facts.get("rope_parameters") or {}


def _rope_factors(facts: dict[str, Any], config: Config, where: str) -> Tensor | None:
    """By how much each pair turns more slowly. Source: Llama 3.1's published rule, and linear scaling."""
    rope = _rope(facts)
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return None
    if kind == "linear":
        return torch.full((config.head_dim // 2,), float(rope["factor"]))
    if kind != "llama3":
        raise LoadlabError(f"{where}/config.json stretches its context by '{kind}', not computed here.")
    waves = 2 * math.pi * config.rope_base ** (torch.arange(0, config.head_dim, 2).double() / config.head_dim)
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    kept = (rope["original_max_position_embeddings"] / waves - low) / (high - low)
    kept = kept.clamp(0, 1)
    factors: Tensor = 1 / ((1 - kept) / rope["factor"] + kept)
    return factors.float()


def _safetensors(folder: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    stored: dict[str, Tensor] = {}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise LoadlabError(f"{folder} has no *.safetensors; only those are read, for they run no code.")
    for file in files:
        try:
            stored |= load_file(file)
        except (SafetensorError, OSError) as error:
            raise LoadlabError(f"{file} is cut or damaged ({error}); fetch it again.") from error
    return stored


def _json(path: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    if default is not None and not path.is_file():
        return default
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise LoadlabError(f"cannot read {path}: {words}; a model's folder needs it.") from error
    if not isinstance(found, dict):
        raise LoadlabError(f"{path} is no JSON object; a model's folder needs it.")
    return found


def _kept_tokeniser(text: str) -> Path:
    """The tokeniser as a file in the cache, named by its content: the HTTP processes read it from there."""
    path = cache_folder() / "tokenisers" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _say_template(tokens: str, where: str) -> None:
    if "<|im_start|>" not in tokens:
        say(f"{where} has no ChatML markers: conversations are put to it as plain lines, 'role: text'.")
