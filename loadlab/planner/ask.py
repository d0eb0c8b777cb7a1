"""What a plan is asked for besides the traffic: the SLO, the margins, the hardware, the prices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.planner.criteria import ERRORS, SHARE, USUAL, Criterion, slo_criteria

HEADROOM, SPARE, COLD_START_S = 0.2, 1, 300.0


@dataclass(frozen=True, slots=True)
class Ask:
    """Shares are 0 to 1. `growth`: on top of the peak. `headroom`: of a replica's capacity, kept free.

    `gpus_per_replica`, `gpus_per_node` and `price` (a name of docs/prices.md): None is as measured, or one.
    `api_price`: of a hosted model, to break even with. `as_measured`: requests of other lengths than the
    measured ones are planned for all the same. `think_s`: what a user waits between requests.
    """

    slo: str = USUAL
    share: float = SHARE
    errors: float = ERRORS
    headroom: float = HEADROOM
    spare: int = SPARE
    growth: float = 0.0
    gpus_per_replica: int | None = None
    gpus_per_node: int | None = None
    price: str | None = None
    api_price: str | None = None
    cold_start_s: float = COLD_START_S
    think_s: float = 0.0
    as_measured: bool = False
    config: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Raises UsageError for what cannot be."""
        limits = {
            "headroom": (0 <= self.headroom < 1, "from 0 to below 1"),
            "spare": (0 <= self.spare <= 1000, "from 0 to 1000"),
            "growth": (-1 < self.growth <= 1000, "more than -1"),
            "gpus_per_replica": (_whole(self.gpus_per_replica), "1 or more"),
            "gpus_per_node": (_whole(self.gpus_per_node), "1 or more"),
            "cold_start_s": (0 <= self.cold_start_s <= 86_400, "from 0 s to a day"),
            "think_s": (0 <= self.think_s < 1e6, "0 or more"),
        }
        for name, (sound, words) in limits.items():
            if not sound:
                value = getattr(self, name)
                raise UsageError(f"{name.replace('_', '-')} {value:g} cannot be; it must be {words}.")

    def criteria(self) -> tuple[Criterion, ...]:
        """What must hold. Raises UsageError."""
        return slo_criteria(self.slo, self.share, self.errors, self.config)

    def document(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        found = asdict(self)
        return {each.name: found[each.name] for each in fields(self) if each.name != "config"}


def _whole(count: int | None) -> bool:
    return count is None or 1 <= count <= 1_000_000


def monthly_growth(share: float, months: int) -> float:
    """Growth of `share` a month over so many months, as one share: 0.03 over 12 is 0.43."""
    if months < 1:
        raise UsageError(f"months {months} cannot be; give 1 or more.")
    return math.pow(1 + share, months) - 1
