"""What goes through the pipe between an HTTP process and the engine process.

To the engine: a `plan.Sequence` to serve, the id of one to forget, a `Change`. Back: `Started` or `Failed`
once, then one `Step` for each step that concerns this pipe, and `Switched`. Plain tuples where there are
hundreds: they cost a tenth of named ones on their way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadlab.server.job import Choice, Finish, Load
from loadlab.server.plan import Sequence
from loadlab.server.switches import Switches

Piece = tuple[str, tuple[int, ...], Finish | None]  # request, its new tokens, how it ended


@dataclass(frozen=True, slots=True)
class Started:
    """First message of the process: what it serves, `blocks` of `block` tokens, and the techniques as set."""

    device: str
    context: int
    vocabulary: int
    tokeniser: Path | None
    blocks: int
    block: int
    switches: Switches


@dataclass(frozen=True, slots=True)
class Failed:
    """First message of a process that could not start."""

    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did.

    `admitted` are requests that left the queue, with the instant (ns) and their cached tokens; `choices` are
    there for requests that asked for logprobs; `failed` ended with a message.
    """

    admitted: list[tuple[str, int, int]]
    pieces: list[Piece]
    choices: dict[str, list[Choice]]
    failed: list[tuple[str, str]]
    load: Load


@dataclass(frozen=True, slots=True)
class Change:
    """Techniques to switch, already judged; `Switched` with the same number says that it was done."""

    number: int
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Switched:
    """The techniques as they are set now; `number` 0 when another pipe asked."""

    number: int
    switches: Switches


ToEngine = Sequence | str | Change
FromEngine = Started | Failed | Step | Switched
