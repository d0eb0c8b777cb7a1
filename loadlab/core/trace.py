"""Traces of real traffic: when requests came and how long they were. One JSON object per line.

    {"timestamp": 27482, "input_length": 6955, "output_length": 52}

`timestamp` is in milliseconds, lengths in tokens: the field names of the Mooncake traces. Other keys are
ignored. Times count from the first line and must not go back.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from loadlab.core.errors import UsageError


class Arrival(NamedTuple):
    """One request of a trace; `at_s` counts from the first. Lengths are None where the trace has none."""

    at_s: float
    prompt_tokens: int | None
    output_tokens: int | None


@lru_cache(maxsize=4)
def read(path: str) -> tuple[Arrival, ...]:
    """Every arrival of the file. Raises UsageError with the line that is wrong."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"trace '{path}' cannot be read: {error}.") from error
    rows = [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise UsageError(f"trace '{path}' is empty; put one JSON object with a \"timestamp\" per line in it.")
    for number, (before, after) in enumerate(pairwise(rows), 2):
        if after.at_s < before.at_s:
            raise UsageError(
                f"trace '{path}', entry {number}: its timestamp is before the one above; sort it."
            )
    return tuple(row._replace(at_s=row.at_s - rows[0].at_s) for row in rows)


def _row(path: str, number: int, line: str) -> Arrival:
    try:
        entry = json.loads(line)
        return Arrival(
            float(entry["timestamp"]) / 1000, _length(entry, "input_length"), _length(entry, "output_length")
        )
    except (ValueError, KeyError, TypeError) as error:
        wanted = 'an object with a "timestamp" in ms'
        raise UsageError(f"trace '{path}', line {number}: expected {wanted}, got {line[:60]!r}.") from error


def _length(entry: dict[str, object], key: str) -> int | None:
    value = entry.get(key)
    return None if value is None else max(1, int(str(value)))
