"""A regression over time, and what people did about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

State = Literal["open", "acknowledged", "fixed", "accepted"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Change:
    """An incident was put into `state` at `at_ns` (UTC) by somebody, for a reason."""

    at_ns: int
    state: State
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Incident:
    """A regression: which `metrics` moved together, and the evidence (docs/history.md names its keys)."""

    id: str
    opened_at_ns: int
    state: State
    scenario: str
    target: str
    model: str
    hardware: str
    metrics: tuple[str, ...]
    evidence: Mapping[str, Any]
    changes: tuple[Change, ...] = ()
    notified_at_ns: int | None = None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Incident:
        """The incident of a row of table `incident`."""
        changes = tuple(Change(**change) for change in row["changes"])
        return cls(**{**row, "metrics": tuple(row["metrics"]), "changes": changes})
