"""Which engine serves which model: settings in, engines out. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import zip_longest

from loadlab.server.engine import Options
from loadlab.server.job import Engine
from loadlab.server.settings import Settings, is_simulated, served_name
from loadlab.server.sim import SimEngine
from loadlab.server.simulated import Simulated
from loadlab.server.step_engine import StepEngine
from loadlab.server.supervision import Line
from loadlab.server.torch_engine import TorchEngine

_GPU_PLACES = 256  # requests that a large GPU usually serves at once


def build_engines(settings: Settings, lines: Sequence[Line] = ()) -> list[Engine]:
    """The engines of all served models, not yet started; each of `lines` reaches one that runs already."""
    return [
        _build_engine(settings, model, line)
        for model, line in zip_longest(settings.models(), lines)
        if model is not None
    ]


def torch_options(settings: Settings, model: str) -> Options:
    """How the engine process of a model is to be set up."""
    return Options(
        model=model,
        device=settings.device,
        threads=settings.threads,
        max_num_seqs=settings.places("torch"),
        budget=settings.max_num_batched_tokens,
        context=settings.context,
        seed=settings.seed,
        **asdict(settings.techniques),
    )


def _build_engine(settings: Settings, model: str, line: Line | None) -> Engine:
    if settings.simulated and model == settings.resolved_model():
        return _simulated(settings, settings.simulated)
    if is_simulated(model):
        return SimEngine(
            model,
            settings.timing,
            seed=settings.seed,
            fail_rate=settings.fail_rate,
            max_num_seqs=settings.places("sim"),
            context=settings.context or 131_072,
        )
    engine = TorchEngine(torch_options(settings, model), line)
    engine.model = served_name(model)
    return engine


def _simulated(settings: Settings, simulated: Simulated) -> Engine:
    techniques, model = settings.techniques, settings.resolved_model()
    options = replace(torch_options(settings, model), max_num_seqs=settings.max_num_seqs or _GPU_PLACES)
    stored = "fp32" if techniques.dtype == "fp32" else "bf16"
    deployment = simulated.deployment(
        options.switches(),
        quant=stored if techniques.quant == "none" else techniques.quant,
        block=techniques.block_size,
        blocks=techniques.num_blocks,
        context=settings.context,
    )
    return StepEngine(model, deployment, seed=settings.seed)
