"""Builds a tokeniser from what a GGUF file says about its tokens. Knows GGUF's keys, no tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loadlab.core.errors import LoadlabError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_SPECIAL = 3  # in `tokenizer.ggml.token_type`
# How text is cut before merging. Source: llama.cpp's table of pre-tokenisers, read 2026-11.
_CUTS = {
    "llama-bpe": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt-2": None,
    "default": None,
}
_CUTS["llama3"] = _CUTS["llama-v3"] = _CUTS["llama-bpe"]


def tokeniser_of(meta: dict[str, Any]) -> Tokenizer:
    """The tokeniser of a GGUF file. Raises LoadlabError for a kind that is not read here."""
    kind = meta.get("tokenizer.ggml.model")
    if kind not in ("gpt2", "llama"):
        raise LoadlabError(
            f"the GGUF file's tokenizer is of kind '{kind}'; only gpt2 and llama are read here. "
            "Use the model's Hugging Face folder, which has a tokenizer.json."
        )
    bpe = _byte_level(meta) if kind == "gpt2" else _sentencepiece(meta)
    _add_special(bpe, meta)
    return bpe


def _byte_level(meta: dict[str, Any]) -> Tokenizer:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    names: list[str] = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    bpe = Tokenizer(
        models.BPE({name: token for token, name in enumerate(names)}, merges, ignore_merges=False)
    )
    cut = meta.get("tokenizer.ggml.pre", "default")
    whole = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if cut == "smollm":
        bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), whole])
    elif cut not in _CUTS:
        raise LoadlabError(
            f"the GGUF file cuts text by '{cut}', not known here (known: smollm, {', '.join(_CUTS)}). "
            "Use the model's Hugging Face folder, which has a tokenizer.json."
        )
    elif (rule := _CUTS[cut]) is None:
        bpe.pre_tokenizer = whole
    else:
        pieces = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(rule), "isolated"), pieces])
    bpe.decoder = decoders.ByteLevel()
    return bpe


def _sentencepiece(meta: dict[str, Any]) -> Tokenizer:
    """SentencePiece's BPE: of all ways to make a token of two, those with the best score come first."""
    from tokenizers import Tokenizer, models, normalizers

    names: list[str] = meta["tokenizer.ggml.tokens"]
    scores: list[float] = meta["tokenizer.ggml.scores"]
    ids = {name: token for token, name in enumerate(names)}
    merges = [
        (-scores[token], token, name[:cut], name[cut:])
        for name, token in ids.items()
        for cut in range(1, len(name))
        if name[:cut] in ids and name[cut:] in ids
    ]
    pairs = [(left, right) for _, _, left, right in sorted(merges)]
    unknown = names[meta.get("tokenizer.ggml.unknown_token_id", 0)]
    bpe = Tokenizer(models.BPE(ids, pairs, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if meta.get("tokenizer.ggml.add_space_prefix", True) else []
    bpe.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    return bpe


def _add_special(bpe: Tokenizer, meta: dict[str, Any]) -> None:
    from tokenizers import AddedToken, processors

    names = meta["tokenizer.ggml.tokens"]
    kinds = meta["tokenizer.ggml.token_type"]
    special = [name for name, kind in zip(names, kinds, strict=True) if kind == _SPECIAL]
    bpe.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special])
    first = meta.get("tokenizer.ggml.bos_token_id")
    if first is not None and meta.get(
        "tokenizer.ggml.add_bos_token", meta["tokenizer.ggml.model"] == "llama"
    ):
        name = names[first]
        bpe.post_processor = processors.TemplateProcessing(f"{name} $A", special_tokens=[(name, first)])
