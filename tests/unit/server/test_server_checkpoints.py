"""The same little model, written as a GGUF file and as a Hugging Face folder, is read back as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from gguf_files import gguf_file, pair

torch = pytest.importorskip("torch", reason="needs the server extra")
pytest.importorskip("tokenizers", reason="needs the server extra")

from loadlab.core.errors import LoadlabError  # noqa: E402
from loadlab.server import weights  # noqa: E402
from loadlab.server.checkpoints import unpermute  # noqa: E402
from loadlab.server.text import _ALPHABET, tokeniser  # noqa: E402

pytestmark = pytest.mark.torch
LETTERS = sorted(_ALPHABET, key=_ALPHABET.__getitem__)  # the names of all bytes
PARTS = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOADLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def tiny() -> weights.Weights:
    return weights.tiny(3)


def parts(model: weights.Weights) -> dict[str, torch.Tensor]:
    """The tensors of a model by their GGUF names, projections apart."""
    config, tensors = model.config, model.tensors
    wide, narrow = config.heads * config.head_dim, config.kv_heads * config.head_dim
    found = {"token_embd": tensors["embed"], "output_norm": tensors["norm"]}
    for i in range(config.layers):
        rows = tensors[f"{i}.qkv"].split([wide, narrow, narrow])
        rows += tuple(tensors[f"{i}.gate_up"].chunk(2))
        names = ("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up")
        found |= {f"blk.{i}.{name}": row for name, row in zip(names, rows, strict=True)}
        for name, key in (("attn_output", "out"), ("ffn_down", "down")):
            found[f"blk.{i}.{name}"] = tensors[f"{i}.{key}"]
        for name in ("attn_norm", "ffn_norm"):
            found[f"blk.{i}.{name}"] = tensors[f"{i}.{name}"]
    return found


def gguf_of(model: weights.Weights, **changes: Any) -> bytes:
    config = model.config
    meta = {
        "general.architecture": "llama", "llama.block_count": config.layers,
        "llama.embedding_length": config.hidden, "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads, "llama.feed_forward_length": config.ffn,
        "llama.context_length": config.context, "llama.rope.freq_base": config.rope_base,
        "llama.attention.layer_norm_rms_epsilon": config.epsilon, "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "default", "tokenizer.ggml.tokens": [*LETTERS, "<end>"],
        "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.token_type": [1] * 256 + [3],
        "tokenizer.ggml.eos_token_id": 256,
    } | changes  # fmt: skip
    meta["tokenizer.ggml.tokens"][255:256] = ["ab"]
    tensors = {}
    for name, tensor in parts(model).items():
        if name.endswith(("attn_q", "attn_k")):
            heads = config.heads if name.endswith("q") else config.kv_heads
            tensor = tensor.reshape(heads, 2, -1, config.hidden).swapaxes(1, 2).reshape(tensor.shape)
        kind, bits = (30, tensor.bfloat16().view(torch.int16)) if tensor.ndim > 1 else (0, tensor)
        tensors[f"{name}.weight"] = (tuple(tensor.shape), kind, bits.numpy().tobytes())
    return gguf_file(tensors, b"".join(pair(key, value) for key, value in meta.items()), len(meta))


def folder_of(model: weights.Weights, folder: Path, **changes: Any) -> Path:
    from safetensors.torch import save_file
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    config = model.config
    names = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    tensors = {}
    for name, tensor in parts(model).items():
        if name.startswith("blk."):
            _, layer, part = name.split(".")
            tensors[f"model.layers.{layer}.{PARTS[part]}.weight"] = tensor.contiguous()
        else:
            tensors[names[f"{name}.weight"]] = tensor
    folder.mkdir()
    half = dict(list(tensors.items())[:5])
    save_file(half, folder / "model-00001-of-00002.safetensors")
    save_file(
        {k: t for k, t in tensors.items() if k not in half}, folder / "model-00002-of-00002.safetensors"
    )
    facts = {
        "model_type": "llama", "num_hidden_layers": config.layers, "hidden_size": config.hidden,
        "num_attention_heads": config.heads, "num_key_value_heads": config.kv_heads,
        "intermediate_size": config.ffn, "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context, "rope_theta": config.rope_base,
        "rms_norm_eps": config.epsilon, "tie_word_embeddings": True, "eos_token_id": 256,
    } | changes  # fmt: skip
    (folder / "config.json").write_text(json.dumps(facts))
    bpe = Tokenizer(models.BPE({name: token for token, name in enumerate(LETTERS)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens([AddedToken("<end>", special=True)])
    bpe.save(str(folder / "tokenizer.json"))
    return folder


def test_a_gguf_file_is_the_model_that_was_written(tiny: weights.Weights, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(gguf_of(tiny))
    read = weights.load(str(tmp_path / "tiny.gguf"))
    assert read.config.epsilon == pytest.approx(tiny.config.epsilon)
    assert {
        f: getattr(read.config, f) for f in ("layers", "heads", "kv_heads", "head_dim", "ffn", "end")
    } == {f: getattr(tiny.config, f) for f in ("layers", "heads", "kv_heads", "head_dim", "ffn", "end")}
    assert set(read.tensors) == set(tiny.tensors)
    for name, tensor in tiny.tensors.items():
        assert torch.equal(read.tensors[name], tensor.bfloat16()), name
    words = tokeniser(read.tokeniser)
    assert words.encode("cab é") == [99, 255, 32, 195, 169]
    assert words.pieces[255:] == [b"ab", b""]


def test_in_float32_a_gguf_file_is_not_rounded(tiny: weights.Weights, tmp_path: Path) -> None:
    norm = torch.full((tiny.config.hidden,), 1.001)  # norms are float32 in such files, and this is no bf16
    uneven = replace(tiny, tensors=tiny.tensors | {"norm": norm})
    (tmp_path / "tiny.gguf").write_bytes(gguf_of(uneven))
    read = weights.load(str(tmp_path / "tiny.gguf"), exact=True)
    assert torch.equal(read.tensors["norm"], norm)
    assert {tensor.dtype for tensor in read.tensors.values()} == {torch.float32}


def test_a_folder_is_the_model_that_was_written(tiny: weights.Weights, tmp_path: Path) -> None:
    read = weights.load(str(folder_of(tiny, tmp_path / "tiny")))
    assert read.config == tiny.config
    for name, tensor in tiny.tensors.items():
        assert torch.equal(read.tensors[name], tensor), name
    assert tokeniser(read.tokeniser).encode("hé") == list("hé".encode())


def test_without_chatml_markers_conversations_are_plain_and_that_is_said(
    tiny: weights.Weights, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = weights.load(str(folder_of(tiny, tmp_path / "tiny")))
    assert "plain lines" in capsys.readouterr().err
    encoded = tokeniser(read.tokeniser).encode_chat([("user", "hi")])
    assert bytes(encoded) == b"user: hi\nassistant: "


def test_long_context_rotation_follows_the_published_rule(tiny: weights.Weights, tmp_path: Path) -> None:
    rope = {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1000,
    }  # fmt: skip
    read = weights.load(str(folder_of(tiny, tmp_path / "tiny", rope_scaling=rope)))
    for pair_index, factor in enumerate(read.tensors["rope_factors"].tolist()):
        speed = tiny.config.rope_base ** (-2 * pair_index / tiny.config.head_dim)
        wave = 2 * math.pi / speed
        smooth = (1000 / wave - 1) / 3
        expected = (
            speed if wave < 250 else speed / 8 if wave > 1000 else (1 - smooth) * speed / 8 + smooth * speed
        )
        assert speed / factor == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"general.architecture": "qwen2"}, "family 'qwen2'"),
        ({"llama.expert_count": 8}, "experts"),
        ({"tokenizer.ggml.pre": "odd"}, "cuts text by 'odd'"),
        ({"tokenizer.ggml.model": "bert"}, "of kind 'bert'"),
        ({"llama.feed_forward_length": 64}, "disagree"),
    ],
)
def test_a_gguf_file_of_another_kind_is_refused_in_words(
    tiny: weights.Weights, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "odd.gguf").write_bytes(gguf_of(tiny, **changes))
    with pytest.raises(LoadlabError, match=words):
        weights.load(str(tmp_path / "odd.gguf"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_type": "qwen2"}, "family 'qwen2'"),
        ({"attention_bias": True}, "attention_bias"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "'yarn'"),
        ({"num_hidden_layers": 3}, "layers.2.*missing"),
    ],
)
def test_a_folder_of_another_kind_is_refused_in_words(
    tiny: weights.Weights, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(LoadlabError, match=words):
        weights.load(str(folder_of(tiny, tmp_path / "odd", **changes)))


def test_a_damaged_folder_is_named(tiny: weights.Weights, tmp_path: Path) -> None:
    folder = folder_of(tiny, tmp_path / "tiny")
    shard = folder / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-50])
    with pytest.raises(LoadlabError, match=r"00002-of-00002\.safetensors is cut or damaged"):
        weights.load(str(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(LoadlabError, match=r"cannot read .*config\.json"):
        weights.load(str(folder))


def test_sentencepiece_tokens_merge_by_score(tmp_path: Path) -> None:
    from loadlab.server.vocabulary import tokeniser_of

    names = [
        "<unk>",
        "<s>",
        "</s>",
        "<0x0A>",
        "<0xC3>",
        "<0xA9>",
        "▁",
        "a",
        "b",
        "c",
        "▁a",
        "ab",
        "bc",
        "▁ab",
    ]
    meta = {
        "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": names, "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.scores": [0.0] * 6 + [-9.0, -9.0, -9.0, -9.0, -3.0, -2.0, -1.0, -4.0],
        "tokenizer.ggml.token_type": [2, 3, 3, 6, 6, 6, *[1] * 8],
    }  # fmt: skip
    bpe = tokeniser_of(meta)
    assert bpe.encode("abc").tokens == ["<s>", "▁a", "bc"]  # bc has the best score, then ▁a
    assert bpe.encode("ab\né").tokens == ["<s>", "▁ab", "<0x0A>", "<0xC3>", "<0xA9>"]
    bpe.save(str(tmp_path / "tokenizer.json"))
    pieces = tokeniser(tmp_path / "tokenizer.json").pieces
    assert [*pieces[1:6], pieces[13]] == [b"", b"", b"\n", b"\xc3", b"\xa9", b" ab"]


def test_unpermute_undoes_the_interleaving_of_rotary_pairs() -> None:
    original = torch.arange(2 * 6 * 3).reshape(12, 3)  # two heads of six rows
    stored = (
        original.reshape(2, 2, 3, 3).swapaxes(1, 2).reshape(12, 3)
    )  # as llama.cpp's converter writes them
    assert unpermute(stored, heads=2).tolist() == original.tolist()
    assert stored.tolist() != original.tolist()
