"""Which engine serves which model: settings in, engines out. Loads nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import zip_longest

from loadlab.server.engine import Options
from loadlab.server.job import Engine
from loadlab.server.parallel import ParallelEngine
from loadlab.server.settings import Settings, is_simulated, served_name
from loadlab.server.sim import SimEngine
from loadlab.server.simulated import Simulated
from loadlab.server.step_engine import StepEngine
from loadlab.server.supervision import Line
from loadlab.server.torch_engine import TorchEngine

_GPU_PLACES = 256  # requests that a large GPU usually serves at once


def build_engines(settings: Settings, lines: Sequence[Line] = ()) -> list[Engine]:
    """The engines of all served models, not yet started.

    Each of `lines` reaches a process that runs already: for every model one per device.
    """
    share = len(lines) // len(settings.models())
    return [
        _build_engine(settings, model, lines[index * share : (index + 1) * share])
        for index, model in enumerate(settings.models())
    ]


def all_options(settings: Settings) -> list[Options]:
    """How every engine process is to be set up: for every model one per device."""
    return [
        torch_options(settings, model, each) for model in settings.models() for each in settings.devices()
    ]


def torch_options(settings: Settings, model: str, device: str = "auto") -> Options:
    """How the engine process of a model on one device is to be set up."""
    return Options(
        model=model,
        device=device,
        threads=settings.threads,
        max_num_seqs=settings.places("torch"),
        budget=settings.max_num_batched_tokens,
        context=settings.context,
        seed=settings.seed,
        **asdict(settings.techniques),
    )


def _build_engine(settings: Settings, model: str, lines: Sequence[Line]) -> Engine:
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
    members = [
        TorchEngine(torch_options(settings, model, device), line)
        for device, line in zip_longest(settings.devices(), lines)
    ]
    engine = members[0] if len(members) == 1 else ParallelEngine(members)
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
