"""Chooses tokens from logits. The same seed gives the same draw at any batch size and in any order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence as Row
from dataclasses import dataclass

import torch
from torch import Tensor

from loadlab.server.job import Sampling

_CANDIDATES = 256
_TINY = 1e-9  # so that the most likely token is always kept


@dataclass(frozen=True, slots=True)
class Pick:
    """How to choose one token: the request's sampling and how many tokens it has generated so far."""

    sampling: Sampling
    generated: int


def choose(logits: Tensor, picks: Row[Pick], end: int) -> list[int]:
    """One token per row of `logits` [rows, vocabulary]; `end` cannot come before `min_tokens`."""
    for row, pick in enumerate(picks):
        if pick.generated < pick.sampling.min_tokens:
            logits[row, end] = -torch.inf
    tokens: list[int] = logits.argmax(-1).tolist()
    rows = [row for row, pick in enumerate(picks) if pick.sampling.temperature > 0]
    if rows:
        for row, token in zip(rows, _draw(logits[rows], [picks[row] for row in rows]), strict=True):
            tokens[row] = token
    return tokens


def _draw(logits: Tensor, picks: Row[Pick]) -> list[int]:
    temperature = logits.new_tensor([pick.sampling.temperature for pick in picks])[:, None]
    luck = logits.new_tensor([_uniform(pick) for pick in picks], dtype=torch.float64)[:, None]
    chances = torch.softmax(logits / temperature, -1)
    if all(pick.sampling.top_p >= 1 for pick in picks):
        return _invert(chances, luck)
    share = logits.new_tensor([max(pick.sampling.top_p, _TINY) for pick in picks])[:, None]
    ranked, names = _ranked(chances, float(share.max()))
    ranked[ranked.cumsum(-1) - ranked >= share] = 0
    return [int(names[row, place]) for row, place in enumerate(_invert(ranked, luck))]


def _ranked(chances: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The most likely tokens, best first, at least as many as make up `share`; sorting them all is slow."""
    ranked, names = chances.topk(min(_CANDIDATES, chances.shape[-1]))
    if float(ranked.sum(-1).min()) < share:
        return chances.sort(-1, descending=True)
    return ranked, names


def _invert(chances: Tensor, luck: Tensor) -> list[int]:
    """The index at which the running sum of `chances` passes the share `luck` of it."""
    sums = chances.cumsum(-1, dtype=torch.float64)
    found = torch.searchsorted(sums, luck * sums[:, -1:], right=True)[:, 0]
    places: list[int] = found.clamp_max(chances.shape[-1] - 1).tolist()
    return places


def _uniform(pick: Pick) -> float:
    """A number in [0, 1) that depends on the seed and the token's index only."""
    key = f"{pick.sampling.seed}:{pick.generated}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") / 2**64
