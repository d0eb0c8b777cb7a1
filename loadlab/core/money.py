"""What a run is paid by: its price, as it stood when it began, and the terms beside it. Plain values.

In scope: what is stored with a run. Out of scope: where a price comes from, and every formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class PriceStep:
    """Rates that take the place of a price's own: from an instant on, or above a number of prompt tokens.

    `rates` are fields of Price; those it does not name have none then. `since` is UTC in ISO 8601, or "".
    """

    rates: Mapping[str, float]
    since: str = ""
    above_prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Price:
    """A price as it stood when the run began: by what a request uses, or per hour of what served it.

    By use: USD per million tokens, per second of audio, per request; a rate that is None is not charged
    apart. The last of `steps` that applies to a request replaces all rates. Per hour: `usd_per_hour` is of
    `units` units together; where `units` is None it is of one device, and as many are paid for as were seen
    at work. `source`, `version`, `as_of` (ISO date) and `assumption` (free words) travel with it into the
    store and every report.
    """

    name: str
    kind: Literal["token", "hour"]
    source: str
    as_of: str
    assumption: str = ""
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_input_usd_per_mtok: float | None = None
    usd_per_hour: float | None = None
    version: str = ""
    cache_write_usd_per_mtok: float | None = None
    reasoning_usd_per_mtok: float | None = None
    audio_input_usd_per_mtok: float | None = None
    audio_output_usd_per_mtok: float | None = None
    audio_usd_per_s: float | None = None
    usd_per_request: float | None = None
    steps: tuple[PriceStep, ...] = ()
    units: int | None = 1

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Price:
        """The inverse of `dataclasses.asdict`."""
        return cls(**{**data, "steps": tuple(PriceStep(**step) for step in data.get("steps", ()))})


@dataclass(frozen=True, slots=True)
class Terms:
    """What turns use into money and carbon besides the price; None is not given.

    `duty_cycle`: the share of paid hours in which the hardware works as in the test. `input_weight`: what a
    prompt token counts beside an output token in weighted costs. `pue`: power of the whole site over that of
    its devices. `batch_discount`: the share off the usual price where requests are handed in as a batch.
    `slo`: limits that each request must keep, by metric and in its unit.
    """

    duty_cycle: float = 1.0
    input_weight: float = 0.25
    usd_per_kwh: float | None = None
    pue: float = 1.0
    g_co2e_per_kwh: float | None = None
    batch_discount: float | None = None
    slo: Mapping[str, float] = field(default_factory=dict)
