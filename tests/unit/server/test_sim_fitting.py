"""Losses are found again from steps that they made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadlab.core.errors import UsageError
from loadlab.server import presets
from loadlab.server.fitting import Fit, Sample, fit
from loadlab.server.luck import lognormal
from loadlab.server.roofline import Hardware, Roofline, decoding, prefilling

WORKS = [decoding(n, context) for n in (1, 2, 4, 8, 16, 32, 64) for context in (16, 256, 1024, 4096)] + [
    prefilling(tokens, context) for tokens in (16, 64, 128, 512, 2048) for context in (0, 256, 1024, 2048)
]
CPU = Hardware(presets.device("cpu2"), presets.model("smollm2-135m"))


def made_by(cv: float = 0.0, **losses: float) -> list[Sample]:
    device = replace(CPU.device, losses=replace(CPU.device.losses, **losses))  # type: ignore[arg-type]
    seconds = Roofline(replace(CPU, device=device)).seconds
    return [Sample(work, seconds(work) * lognormal(cv, 5, i)) for i, work in enumerate(WORKS)]


def found(samples: list[Sample]) -> Fit:
    return fit(CPU, samples, name="mine", source="a test")


def test_losses_are_found_again() -> None:
    truth = {"bandwidth_share": 0.9, "math_share": 0.7, "half_tokens": 3.0, "host_seq_s": 4e-4}
    result = found(made_by(**truth))
    assert result.held_back.worst < 0.01
    for name, value in truth.items():
        assert getattr(result.device.losses, name) == pytest.approx(value, rel=0.05), name
    assert result.device.losses.basis == "calibrated"
    assert (result.device.name, result.device.losses.source) == ("mine", "a test")


def test_with_noise_the_error_kept_back_is_about_the_noise() -> None:
    result = found(made_by(cv=0.1, math_share=0.5))
    assert 0.02 < result.held_back.median < 0.15
    assert result.held_back.n == len(WORKS) // 3
    assert result.held_back.n + result.fitted.n == len(WORKS)


def test_steps_that_follow_no_roofline_show_in_the_error() -> None:
    samples = [
        sample._replace(seconds=sample.seconds * (1 + index % 2)) for index, sample in enumerate(made_by())
    ]
    assert found(samples).held_back.worst > 0.2


def test_too_few_steps_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 12"):
        found(made_by()[:5])
