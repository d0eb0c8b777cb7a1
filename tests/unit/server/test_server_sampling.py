"""Sampling: what is cut off never comes, what is left as often as it should, and neighbours do not matter."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the server extra")

from loadlab.server.job import Choice, Sampling  # noqa: E402
from loadlab.server.sampling import WISH, choose, plain, uniform, wish  # noqa: E402

pytestmark = pytest.mark.torch
FOUR = [0.5, 0.3, 0.15, 0.05]


def chosen(logits: torch.Tensor, samplings: list[Sampling], index: int = 0, end: int = 3) -> list[Choice]:
    wishes = np.array([wish(sampling) for sampling in samplings], WISH)
    return choose(logits, wishes, np.full(len(samplings), index), end)


def drawn(samplings: list[Sampling]) -> list[int]:
    logits = torch.log(torch.tensor([FOUR])).repeat(len(samplings), 1)
    return [choice.token for choice in chosen(logits, samplings)]


@pytest.mark.parametrize(
    ("cut", "left"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_p": 0.79}, {0, 1}),
        ({"top_p": 0.0}, {0}),
        ({"top_k": 3}, {0, 1, 2}),
        ({"top_k": 1}, {0}),
        ({"top_k": 2, "top_p": 0.62}, {0}),  # of the two that are left, the first has 5/8
        ({"top_k": 2, "top_p": 0.63}, {0, 1}),
        ({"top_k": 99}, {0, 1, 2, 3}),
    ],
)
def test_top_k_and_top_p_keep_only_the_likeliest(cut: dict[str, float], left: set[int]) -> None:
    assert set(drawn([Sampling(temperature=1.0, seed=seed, **cut) for seed in range(300)])) == left  # type: ignore[arg-type]


def test_draws_follow_the_probabilities() -> None:
    tokens = drawn([Sampling(temperature=1.0, seed=seed) for seed in range(4000)])
    assert [tokens.count(token) / 4000 for token in range(4)] == pytest.approx(FOUR, abs=0.03)
    tokens = drawn([Sampling(temperature=1.0, top_k=2, seed=seed) for seed in range(4000)])
    assert tokens.count(0) / 4000 == pytest.approx(5 / 8, abs=0.03)


def test_temperature_flattens() -> None:
    cold = drawn([Sampling(temperature=0.2, seed=seed) for seed in range(500)])
    hot = drawn([Sampling(temperature=5.0, seed=seed) for seed in range(500)])
    assert cold.count(0) > 450
    assert hot.count(3) > 50


def test_neighbours_do_not_change_a_draw() -> None:
    kinds = [
        Sampling(),
        Sampling(temperature=1.0, seed=1),
        Sampling(temperature=1.0, seed=1, top_p=0.9),
        Sampling(temperature=0.7, seed=2, top_k=300),
        Sampling(temperature=0.7, seed=2, top_k=5, logprobs=1),
    ]
    logits = torch.randn(5, 1000, generator=torch.Generator().manual_seed(0))
    together = chosen(logits.clone(), kinds)
    alone = [chosen(logits[i : i + 1].clone(), [kind])[0] for i, kind in enumerate(kinds)]
    assert [choice.token for choice in together] == [choice.token for choice in alone]


def test_a_number_that_no_field_can_hold_is_one_without_effect() -> None:
    """One such request must not end the engine, and with it everybody's."""
    logits = torch.randn(1, 1000, generator=torch.Generator().manual_seed(0))
    usual = Sampling(temperature=1.0, seed=1, min_tokens=100, top_k=1000)
    assert chosen(logits.clone(), [replace(usual, top_k=10**12, min_tokens=10**12)]) == chosen(
        logits, [usual]
    )


def test_luck_is_spread_evenly_and_depends_on_seed_and_index() -> None:
    seeds, index = np.arange(4000, dtype=np.uint64), np.zeros(4000, np.int64)
    for luck in (uniform(seeds, index), uniform(np.full(4000, 7, np.uint64), np.arange(4000))):
        assert np.histogram(luck, 4, (0, 1))[0] == pytest.approx([1000] * 4, abs=150)
        assert len(set(luck)) == 4000
    assert uniform(seeds[:1], index[:1] + 1) != uniform(seeds[:1], index[:1])
    assert wish(Sampling(seed=-1))[-1] == 2**64 - 1  # any whole number will do


def test_the_end_cannot_come_before_min_tokens() -> None:
    logits = torch.tensor([[0.0, 9.0]])
    held = Sampling(min_tokens=2)
    assert chosen(logits.clone(), [held], index=1, end=1)[0].token == 0
    assert chosen(logits.clone(), [held], index=2, end=1)[0].token == 1


def test_logprobs_are_the_models_own_whatever_is_cut_or_held_back() -> None:
    asked = Sampling(temperature=0.1, top_k=1, min_tokens=5, logprobs=2)
    [choice, bare] = chosen(torch.log(torch.tensor([FOUR, FOUR])), [asked, Sampling()], end=0)
    assert choice.token == 1
    assert choice.logprob == pytest.approx(np.log(0.3))
    assert [token for token, _ in choice.top] == [0, 1]
    assert [np.exp(logprob) for _, logprob in choice.top] == pytest.approx([0.5, 0.3])
    assert bare == Choice(0)


def test_plain_rows_are_those_that_only_want_the_likeliest_token() -> None:
    def is_plain(sampling: Sampling, index: int = 0) -> bool:
        return plain(np.array([wish(sampling)], WISH), np.array([index]))

    assert is_plain(Sampling(top_p=0.5, top_k=3, seed=9))
    assert is_plain(Sampling(min_tokens=2), index=2)
    assert not is_plain(Sampling(min_tokens=2), index=1)
    assert not is_plain(Sampling(temperature=0.1))
    assert not is_plain(Sampling(logprobs=0))
