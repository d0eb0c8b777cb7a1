"""Renting replicas against paying an API by the token, in both directions.

An API costs in proportion; replicas come whole, and their spare ones are paid for from the first request on.
The traffic keeps its shape: twice the tokens is twice the peak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from loadlab.core.money import Price
from loadlab.planner.sizing import HOURS_PER_MONTH
from loadlab.pricing import Meter, Use

_MONTH_S = HOURS_PER_MONTH * 3600
_POINTS, _SPAN = 241, 100.0


@dataclass(frozen=True, slots=True, eq=False)
class BreakEven:
    """Mtok are millions of prompt and output tokens together, a month; money in USD a month.

    `cheaper_from`: from this volume on, own replicas cost less at every volume looked at; `first_cheaper`:
    they do for the first time. None: never, up to 100 times the plan. `mtok`, `own_curve`, `api_curve`: the
    curves. What the API would have to charge for both to cost the same is `own_usd_per_mtok`.
    """

    api: Price
    mtok_per_month: float
    own_usd: float
    api_usd: float
    api_usd_per_mtok: float
    own_usd_per_mtok: float
    first_cheaper: float | None
    cheaper_from: float | None
    assumed: str
    mtok: np.ndarray[tuple[int], np.dtype[np.float64]]
    own_curve: np.ndarray[tuple[int], np.dtype[np.float64]]
    api_curve: np.ndarray[tuple[int], np.dtype[np.float64]]

    @property
    def saved_share(self) -> float:
        """What own replicas save of the API's bill at the planned volume; negative: what they cost more."""
        return 1 - self.own_usd / self.api_usd


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is bought either way: requests per second over the month, and their mean lengths in tokens."""

    rate: float
    prompt_tokens: float | None
    output_tokens: float | None
    assumed: str


def break_even(traffic: Traffic, api: Price, own_usd: Callable[[float], float | None]) -> BreakEven | None:
    """The comparison; None where a price or the token counts are unknown.

    `own_usd` gives USD per hour of the replicas for a traffic so many times the plan's.
    """
    each = api_usd_per_request(api, traffic)
    tokens = (traffic.prompt_tokens or 0.0) + (traffic.output_tokens or 0.0)
    now = own_usd(1.0)
    if each is None or not tokens or now is None:
        return None
    requests = traffic.rate * _MONTH_S
    mtok, bill = requests * tokens / 1e6, each * requests
    times = np.geomspace(1 / _SPAN, _SPAN, _POINTS)
    own = np.array([(own_usd(float(factor)) or 0.0) * HOURS_PER_MONTH for factor in times])
    first, lasting = _crossings(times * mtok, own, times * bill)
    spent = now * HOURS_PER_MONTH
    return BreakEven(
        api, mtok, spent, bill, bill / mtok, spent / mtok, first, lasting, traffic.assumed, times * mtok, own,
        times * bill,
    )  # fmt: skip


def api_usd_per_request(api: Price, traffic: Traffic) -> float | None:
    """What the API charges for a request of the mean lengths, nothing cached; None where that is unknown."""
    if api.kind != "token" or traffic.prompt_tokens is None or traffic.output_tokens is None:
        return None
    # Whole tokens of a thousand requests: rounding those of one would be an error of percents.
    prompt, output = round(1000 * traffic.prompt_tokens), round(1000 * traffic.output_tokens)
    cost = Meter(_plain(api)).nano_usd(Use(prompt, output, 0, 0, 0, 0, 0, 0.0))
    return None if cost is None else cost / 1e12 + (api.usd_per_request or 0.0)


def _plain(api: Price) -> Price:
    """The price without its fee per request (added once) and its steps (they are for single requests)."""
    kept = tuple(step for step in api.steps if not step.above_prompt_tokens)
    return replace(api, usd_per_request=None, steps=kept)


def _crossings(
    mtok: np.ndarray[tuple[int], np.dtype[np.float64]],
    own: np.ndarray[tuple[int], np.dtype[np.float64]],
    api: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> tuple[float | None, float | None]:
    """Where own replicas are cheaper for the first time, and from where on for good."""
    cheaper = own < api
    if not cheaper.any():
        return None, None
    first = int(cheaper.argmax())
    dearer = np.flatnonzero(~cheaper)
    lasting = int(dearer[-1]) + 1 if dearer.size else 0
    return float(mtok[first]), float(mtok[lasting]) if lasting < len(mtok) else None
