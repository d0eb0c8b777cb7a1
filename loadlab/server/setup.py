"""Makes what the engine process runs on: model, pool, runner, scheduler, and who guesses for it."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import torch

from loadlab.core.errors import LoadlabError
from loadlab.server import weights
from loadlab.server.draft import DraftModel, Lookup
from loadlab.server.engine import Options
from loadlab.server.job import Sampling
from loadlab.server.kv import Pool
from loadlab.server.messages import Started
from loadlab.server.model import Llama
from loadlab.server.placement import describe, device_for, place
from loadlab.server.plan import Chunk, Proposer, Sequence
from loadlab.server.runner import TorchRunner
from loadlab.server.schedule import Scheduler
from loadlab.server.text import tokeniser
from loadlab.server.weights import Weights


def prepare(options: Options) -> tuple[Started, Scheduler, TorchRunner]:
    """A warm engine. Raises LoadlabError when it cannot be had as asked for."""
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    device = device_for(options.device)
    loaded = _load(options.model, options)
    context = _context(options, loaded.config.context)
    model = _place(loaded, options, device, context, options.max_num_seqs)
    runner = _runner(model, options, options.max_num_seqs)
    pool = Pool(model.blocks, model.block, caching=options.prefix_cache)
    proposers: dict[str, Proposer] = {"ngram": Lookup()}
    if options.speculate == "draft" and not options.draft_model:
        raise LoadlabError("--speculate draft needs a model that guesses; name one with --draft-model.")
    if options.draft_model:
        proposers["draft"] = _draft(options, loaded, device, context)
    switches = options.switches()
    scheduler = Scheduler(pool, switches, end=loaded.config.end, proposers=proposers)
    _warm(runner, model.block)
    size, path = loaded.config.vocabulary, loaded.tokeniser
    started = Started(describe(device), context, size, path, pool.total, pool.block, switches)
    return started, scheduler, runner


def _load(model: str, options: Options) -> Weights:
    return weights.load(model, options.seed, exact=options.dtype == "fp32")


def _context(options: Options, own: int) -> int:
    """The context asked for, or the model's, or what a small pool holds of it."""
    asked, room = options.context, (options.num_blocks - 2) * options.block_size
    if asked > own:
        raise LoadlabError(
            f"--max-model-len {asked} is more than the model's own context of {own}; ask for less."
        )
    if asked or not options.num_blocks or room >= own:
        return asked or own
    if room < 1:
        raise LoadlabError(f"--num-blocks {options.num_blocks} is too few to hold anything; use 3 or more.")
    print(f"--num-blocks {options.num_blocks}: the context is {room} tokens, not {own}", file=sys.stderr)
    return room


def _place(loaded: Weights, options: Options, device: str, context: int, sequences: int) -> Llama:
    return place(
        loaded,
        device,
        max_num_seqs=sequences,
        context=context,
        dtype=options.dtype,
        quant=options.quant,
        block=options.block_size,
        blocks=options.num_blocks,
        compiled=options.compile,
    )


def _runner(model: Llama, options: Options, sequences: int) -> TorchRunner:
    return TorchRunner(model, sequences, graphs=None if options.cuda_graphs else False)


def _draft(options: Options, target: Weights, device: str, context: int) -> DraftModel:
    assert options.draft_model
    loaded = _load(options.draft_model, options)
    if _pieces(loaded) != _pieces(target):
        raise LoadlabError(
            f"--draft-model {options.draft_model} has other tokens than {options.model}: its guesses would "
            "mean something else; use one of the same family, or --speculate ngram."
        )
    context = min(context, loaded.config.context)
    model = _place(loaded, replace(options, num_blocks=0), device, context, options.speculate_max_seqs)
    pool = Pool(model.blocks, model.block, caching=False)
    return DraftModel(_runner(model, options, options.max_num_seqs), pool, context)


def _pieces(loaded: Weights) -> list[bytes]:
    return list(tokeniser(loaded.tokeniser).pieces)


def _warm(runner: TorchRunner, block: int) -> None:
    """The first passes set up kernels and memory; let them not be a user's. They write where padding does."""
    probe = Sequence("warm-up", [0] * 32, 4, Sampling(), blocks=[0] * (-(-36 // block)))
    runner.step([Chunk(probe, 0, 32, True)])
    probe.tokens += [0] * 3
    for at in range(32, 35):
        runner.step([Chunk(probe, at, 1, True)])
