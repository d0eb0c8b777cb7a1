"""How busy an engine is, as several front processes see it: each notes what it was told, the newest counts.

An engine tells a front of the steps that concern it, and all fronts when it has nothing left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from loadlab.server.board import Board, Cells
from loadlab.server.job import STEP_BOUNDS, Counts, Engine, Load

_POSITIONS = 16  # of a draft; deeper ones are not told of
_BUCKETS = len(STEP_BOUNDS) + 1
_NAMES = tuple(field.name for field in fields(Counts) if field.type == "int")
WIDTH = 3 + len(_NAMES) + _BUCKETS + _POSITIONS
_NOTED_EVERY_S = 0.05


def note(load: Load, cells: Cells) -> None:
    """Writes a load down."""
    counts = load.counts
    places = counts.accepted_per_position[:_POSITIONS]
    numbers = (
        load.running,
        load.waiting,
        load.kv_usage,
        *(getattr(counts, name) for name in _NAMES),
        *(counts.steps_by_tokens or (0,) * _BUCKETS),
        *places,
    )
    for at, value in enumerate(numbers):
        cells[at] = value


def read(cells: Cells) -> Load:
    """The load that was written down."""
    running, waiting, kv_usage, *rest = cells
    numbers = [int(value) for value in rest]
    by_tokens, places = tuple(numbers[len(_NAMES) :][:_BUCKETS]), tuple(numbers[len(_NAMES) + _BUCKETS :])
    while places and not places[-1]:
        places = places[:-1]
    named: dict[str, Any] = dict(zip(_NAMES, numbers, strict=False))
    return Load(
        int(running),
        int(waiting),
        kv_usage,
        Counts(**named, accepted_per_position=places, steps_by_tokens=by_tokens),
    )


def newest(board: Board, model: int, own: Callable[[], Load]) -> Load:
    """The load of a model after the latest step that any process was told of."""
    at = model * WIDTH
    noted = [read(row[at : at + WIDTH]) for row in board.rows] if len(board.rows) > 1 else []
    return max((own(), *noted), key=lambda load: load.counts.steps)


async def keep_noting(engines: Sequence[Engine], board: Board) -> None:
    """Notes the loads of this process's engines for other processes, until cancelled."""
    while len(board.rows) > 1:
        for model, engine in enumerate(engines):
            note(engine.load(), board.mine[model * WIDTH : (model + 1) * WIDTH])
        await asyncio.sleep(_NOTED_EVERY_S)
