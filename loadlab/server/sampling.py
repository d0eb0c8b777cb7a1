"""Chooses tokens from logits. The same seed gives the same draw at any batch size and in any order."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from loadlab.server.job import Choice, Sampling

# One row of a table per request, so that a step takes its wishes with one indexing operation.
WISH = np.dtype(
    [
        ("temperature", "f4"),
        ("top_p", "f4"),
        ("top_k", "i4"),
        ("min_tokens", "i4"),
        ("logprobs", "i4"),
        ("seed", "u8"),
    ]
)
Wishes = NDArray[np.void]
Ints = NDArray[np.int64]
_CANDIDATES = 256
_MANY = 2**31 - 1  # as large as a field of WISH can be, and larger than any vocabulary or answer
_TINY = 1e-9  # so that the most likely token is always kept


def wish(sampling: Sampling) -> tuple[float, float, int, int, int, int]:
    """A request's sampling as a row of WISH; logprobs -1 means not asked."""
    asked = -1 if sampling.logprobs is None else sampling.logprobs
    seed = sampling.seed & 0xFFFF_FFFF_FFFF_FFFF
    top_k, min_tokens = min(sampling.top_k, _MANY), min(sampling.min_tokens, _MANY)
    return (sampling.temperature, sampling.top_p, top_k, min_tokens, asked, seed)


def plain(wishes: Wishes, index: Ints) -> bool:
    """Whether every row takes its most likely token and nothing else is asked."""
    special = (wishes["temperature"] > 0) | (wishes["logprobs"] >= 0) | (index < wishes["min_tokens"])
    return not special.any()


@torch.inference_mode()  # like the model: what it made cannot be changed outside
def choose(logits: Tensor, wishes: Wishes, index: Ints, end: int) -> list[Choice]:
    """One token per row of `logits` [rows, vocabulary], which is the `index`-th of its answer.

    `end` cannot come before `min_tokens`. Log-probabilities are the model's, before temperature and cuts.
    """
    asked = np.flatnonzero(wishes["logprobs"] >= 0)
    logs = torch.log_softmax(logits[_rows(asked, logits)], -1) if len(asked) else None
    early = np.flatnonzero(index < wishes["min_tokens"])
    if len(early):
        logits[_rows(early, logits), end] = -torch.inf
    tokens = logits.argmax(-1)
    drawn = np.flatnonzero(wishes["temperature"] > 0)
    if len(drawn):
        rows = _rows(drawn, logits)
        tokens[rows] = _draw(logits[rows], wishes[drawn], uniform(wishes["seed"][drawn], index[drawn]))
    choices = [Choice(token) for token in tokens.tolist()]
    if logs is not None:
        found = _with_logprobs(logs, [choices[row].token for row in asked], wishes["logprobs"][asked])
        for row, choice in zip(asked, found, strict=True):
            choices[row] = choice
    return choices


def uniform(seed: NDArray[np.uint64], index: Ints) -> NDArray[np.float64]:
    """Numbers in [0, 1) that depend on seed and index only. Source: Steele et al., SplitMix64 (2014)."""
    with np.errstate(over="ignore"):
        x = _mixed(seed + np.uint64(0x9E3779B97F4A7C15)) + index.astype(np.uint64)
        x = _mixed(x * np.uint64(0x9E3779B97F4A7C15))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = x ^ (x >> np.uint64(31))
    return mixed


def _rows(rows: Ints, like: Tensor) -> Tensor:
    return torch.from_numpy(rows).to(like.device)


def _column(values: NDArray[np.generic], like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(like.device)[:, None]


def _draw(logits: Tensor, wishes: Wishes, luck: NDArray[np.float64]) -> Tensor:
    """Rows that cut nothing off are drawn in the vocabulary's order, whatever their neighbours want."""
    chances = torch.softmax(logits / _column(wishes["temperature"], logits), -1)
    fortune = _column(luck, logits)
    cuts = (wishes["top_p"] < 1) | (wishes["top_k"] > 0)
    tokens = torch.empty(len(wishes), dtype=torch.int64, device=logits.device)
    if not cuts.all():
        rows = _rows(np.flatnonzero(~cuts), logits)
        tokens[rows] = _invert(chances[rows], fortune[rows])
    if cuts.any():
        rows = _rows(np.flatnonzero(cuts), logits)
        ranked, names = _cut(chances[rows], wishes[cuts])
        tokens[rows] = names.gather(1, _invert(ranked, fortune[rows])[:, None])[:, 0]
    return tokens


def _cut(chances: Tensor, wishes: Wishes) -> tuple[Tensor, Tensor]:
    """The chances of the tokens that stay, best first, and their names: top_k, then top_p of the rest."""
    size = chances.shape[-1]
    limits = np.where(wishes["top_k"] > 0, np.minimum(wishes["top_k"], size), size).astype(np.int64)
    share = _column(np.where(wishes["top_p"] < 1, np.maximum(wishes["top_p"], _TINY), 2), chances)
    ranked, names = _ranked(chances, limits, share)
    most = _column(limits, chances)
    ranked = ranked.masked_fill(torch.arange(ranked.shape[1], device=chances.device) >= most, 0)
    kept = torch.where(most < size, ranked.sum(-1, keepdim=True), 1.0)
    return ranked.masked_fill(ranked.cumsum(-1) - ranked >= share * kept, 0), names


def _ranked(chances: Tensor, limits: Ints, share: Tensor) -> tuple[Tensor, Tensor]:
    """The most likely tokens, best first, as many as can stay; sorting them all is slow."""
    count = min(_CANDIDATES, chances.shape[-1])
    ranked, names = chances.topk(count)
    enough = (ranked.sum(-1, keepdim=True) >= share) | (_column(limits, chances) <= count)
    return (ranked, names) if bool(enough.all()) else chances.sort(-1, descending=True)


def _invert(chances: Tensor, luck: Tensor) -> Tensor:
    """The index at which the running sum of `chances` passes the share `luck` of it."""
    sums = chances.cumsum(-1, dtype=torch.float64)
    found = torch.searchsorted(sums, luck * sums[:, -1:], right=True)[:, 0]
    return found.clamp_max(chances.shape[-1] - 1)


def _with_logprobs(logs: Tensor, tokens: Iterable[int], counts: NDArray[np.int32]) -> list[Choice]:
    chosen = torch.tensor(list(tokens), device=logs.device)
    own = logs.gather(1, chosen[:, None])[:, 0].tolist()
    best, names = logs.topk(min(int(counts.max()), logs.shape[-1]))
    rows = zip(chosen.tolist(), own, names.tolist(), best.tolist(), counts.tolist(), strict=True)
    return [
        Choice(token, logprob, tuple(zip(ids[:count], values[:count], strict=True)))
        for token, logprob, ids, values, count in rows
    ]
