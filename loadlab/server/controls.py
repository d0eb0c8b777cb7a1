"""What can be switched while the server runs, on the HTTP side: response cache, routing, limits.

The values are cells that all front processes share, so a change made at one is a change at all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadlab.server.board import Cells
from loadlab.server.bodies import ApiError


@dataclass(frozen=True, slots=True)
class _Control:
    cell: int
    kind: type[bool] | type[int] | type[float]
    low: float = 0


_ALL = {
    "response_cache": _Control(0, bool),
    "response_cache_ttl_s": _Control(1, float, low=0.001),
    "max_waiting": _Control(2, int),
    "max_new_tokens": _Control(3, int),
    "route_tokens": _Control(4, int),
}
NAMES = tuple(_ALL)
WIDTH = len(_ALL)
_WORDS = {bool: "true or false", int: "a whole number", float: "a number"}


class Controls:
    """The values now; zero means no limit for `max_waiting` and `max_new_tokens`."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells

    @property
    def response_cache(self) -> bool:
        """Whether repeated questions are answered from the cache."""
        return bool(self._cells[0])

    @property
    def response_cache_ttl_s(self) -> float:
        """How long an answer is kept."""
        return self._cells[1]

    @property
    def max_waiting(self) -> int:
        """How many requests may wait; one more is refused."""
        return int(self._cells[2])

    @property
    def max_new_tokens(self) -> int:
        """How long an answer may be."""
        return int(self._cells[3])

    @property
    def route_tokens(self) -> int:
        """Up to this many tokens of prompt, `auto` takes the second model."""
        return int(self._cells[4])

    def document(self) -> dict[str, Any]:
        """All values by name, in the shape of `job.Engine.settings`."""
        return {
            name: {"value": control.kind(self._cells[control.cell]), "runtime": True}
            for name, control in _ALL.items()
        }

    def check(self, changes: Mapping[str, Any]) -> None:
        """Raises ApiError for a wrong value; every name must be one of `NAMES`."""
        for name, value in changes.items():
            control = _ALL[name]
            kinds = (int, float) if control.kind is float else (control.kind,)
            if type(value) not in kinds or value < control.low:
                low = "" if control.kind is bool else f" of at least {control.low:g}"
                raise ApiError(400, f"{name} must be {_WORDS[control.kind]}{low}, not {value!r}.", name)

    def set(self, changes: Mapping[str, Any]) -> None:
        """Puts checked values into force at once, at every front process."""
        for name, value in changes.items():
            self._cells[_ALL[name].cell] = value
