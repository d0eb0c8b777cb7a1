"""What one request costs under one price. Knows token counts and rates; no clock, no rows, no vendor.

Money of one request is integer nano-USD, computed in decimal and rounded once. What is unknown stays unknown:
a count that a rate needs and nobody reported makes the cost None, never 0.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from loadlab.core.money import Price

# Rates by what they are multiplied with. The first of a family takes what the others do not.
_PROMPT = {
    "cached_tokens": "cached_input_usd_per_mtok",
    "cache_write_tokens": "cache_write_usd_per_mtok",
    "audio_input_tokens": "audio_input_usd_per_mtok",
}
_OUTPUT = {
    "reasoning_tokens": "reasoning_usd_per_mtok",
    "audio_output_tokens": "audio_output_usd_per_mtok",
}
TOKEN_RATES = ("input_usd_per_mtok", "output_usd_per_mtok", *_PROMPT.values(), *_OUTPUT.values())
RATES = (*TOKEN_RATES, "audio_usd_per_s", "usd_per_request")
_NANO = 10**9
_NANO_PER_MTOK = Decimal(1000)


class Answered(Protocol):
    """What became of a request, as far as a bill knows it; `loadlab.core.nouns.Result` is one."""

    @property
    def error_kind(self) -> str | None: ...
    @property
    def status(self) -> int | None: ...
    @property
    def sent_ns(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Use:
    """What a request used; None is unknown. Cached, written and audio tokens are part of their sums."""

    prompt_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_output_tokens: int | None = None
    audio_s: float | None = None

    @classmethod
    def of(cls, result: Any) -> Use:
        """The use that a Result, or anything with its fields, reports."""
        return cls(*(getattr(result, name) for name in USED))


USED = tuple(field.name for field in fields(Use))
NOTHING = Use(*([0] * len(USED)))


class Meter:
    """Prices the requests of one run. `price` must be one by use, not by the hour."""

    def __init__(self, price: Price) -> None:
        own = {name: getattr(price, name) for name in RATES}
        steps = [(instant(step.since), step.above_prompt_tokens, step.rates) for step in price.steps]
        self._since = sorted({0, *(since for since, _, _ in steps)})
        self._rates = [_in_force(own, steps, since) for since in self._since]

    def nano_usd(self, use: Use, at_ns: int = 0) -> int | None:
        """What the use costs at that instant (UTC ns since 1970), in nano-USD; None when it is not known."""
        rates = self._rates[bisect_right(self._since, at_ns) - 1]
        if len(rates) > 1 and use.prompt_tokens is None:
            return None
        prompt = use.prompt_tokens or 0
        return _cost(next(rate for above, rate in rates if prompt > above or above < 0), use)

    def billed_nano_usd(self, answered: Answered, use: Use, at_ns: int) -> int | None:
        """As `nano_usd`; a request that never left, or was refused without a count, costs nothing."""
        refused = answered.status is not None and answered.status >= 300
        if answered.error_kind is not None and use.prompt_tokens is None:
            if answered.sent_ns is None or refused:
                return 0
            if use.output_tokens is None:
                return None
        return self.nano_usd(use, at_ns)


def instant(text: str) -> int:
    """UTC ns since 1970 of an ISO 8601 date or time (no zone: UTC); 0 for "". Raises ValueError."""
    if not text:
        return 0
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return round(at.timestamp()) * _NANO


Rates = dict[str, Decimal]


def _in_force(
    own: Mapping[str, float | None], steps: list[tuple[int, int, Mapping[str, float]]], since: int
) -> list[tuple[int, Rates]]:
    """(above so many prompt tokens, rates) as they are from `since` on, the highest first; -1 is any."""
    found: dict[int, Mapping[str, float | None]] = {-1: own}
    for start, above, rates in sorted(steps, key=lambda step: step[:2]):
        if start <= since:
            # What is for any length replaces everything before it, tiers included.
            found = {**found, above: rates} if above else {-1: rates}
    ordered = sorted(found.items(), reverse=True)
    return [(above, {name: _decimal(rate) for name, rate in rates.items() if rate is not None})
            for above, rates in ordered]  # fmt: skip


def _decimal(rate: float) -> Decimal:
    # Through str, so that 0.1 is a tenth and not its binary neighbour.
    return Decimal(str(rate))


def _cost(rates: Rates, use: Use) -> int | None:
    """The sum over every rate there is; None when one of them lacks its count, or there is none at all."""
    parts = [
        _tokens(rates, "input_usd_per_mtok", use.prompt_tokens, _PROMPT, use),
        _tokens(rates, "output_usd_per_mtok", use.output_tokens, _OUTPUT, use),
        _seconds(rates, use),
        rates.get("usd_per_request", Decimal(0)) * _NANO,
    ]
    known = [part for part in parts if part is not None]
    return round(sum(known, Decimal(0))) if rates and len(known) == len(parts) else None


def _tokens(rates: Rates, rest: str, total: int | None, apart: Mapping[str, str], use: Use) -> Decimal | None:
    """Tokens of one direction: those with a rate of their own, and the rest at the plain rate."""
    own = {measure: rates[rate] for measure, rate in apart.items() if rate in rates}
    if not own and rest not in rates:
        return Decimal(0)
    if total is None:
        return None
    cost, left = Decimal(0), max(total, 0)
    for measure, rate in own.items():
        count = min(max(getattr(use, measure) or 0, 0), left)
        cost, left = cost + count * rate, left - count
    if left and rest not in rates:
        return None
    return (cost + left * rates.get(rest, Decimal(0))) * _NANO_PER_MTOK


def _seconds(rates: Rates, use: Use) -> Decimal | None:
    if "audio_usd_per_s" not in rates:
        return Decimal(0)
    return None if use.audio_s is None else _decimal(max(use.audio_s, 0.0)) * rates["audio_usd_per_s"] * _NANO
