"""What is told: an alert, and what goes wrong with telling it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

from loadlab.core.errors import LoadlabError

Event = Literal["opened", "resolved", "test"]
KINDS = ("incident", "gate", "job")


class UndeliveredError(LoadlabError):
    """An alert that a channel did not take; `lasting` when trying again would not help."""

    def __init__(self, words: str, *, lasting: bool = False) -> None:
        super().__init__(words)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class Alert:
    """One message. `occasion` is what it is told of once, `subject` what it is about over time.

    `facts` are the evidence, a name and words each; `link` leads to the dashboard, "" without one.
    """

    occasion: str
    subject: str
    kind: str
    event: Event
    title: str
    facts: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "facts": dict(self.facts)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The alert of such values."""
        return cls(**values)
