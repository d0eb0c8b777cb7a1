"""What a run will cost, before it is sent: from the sizes of its first requests, a price and their number.

Two figures each time: what is likely (four bytes of prompt to a token, every answer as long as it may be) and
the most there can be (a token for every byte, the dearest rates that the price has at any time or length).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadlab.core.money import Price
from loadlab.core.units import usd
from loadlab.pricing.meter import RATES, Meter, Use

_BYTES_PER_TOKEN = 4
# What a chat template puts around a message.
_LIKELY_FRAME, _WORST_FRAME = 4, 16
# 16 kHz, 16 bits, one channel; at worst 8 kHz and 8 bits.
_LIKELY_AUDIO_BYTES_PER_S, _WORST_AUDIO_BYTES_PER_S = 32_000, 8_000


@dataclass(frozen=True, slots=True)
class Size:
    """One request as far as its price goes: bytes of text, messages, output cap, bytes of audio."""

    prompt_bytes: int
    messages: int
    max_tokens: int
    audio_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """USD of one request and of all `requests` (None: not known how many), likely and at most."""

    request_usd: float
    worst_request_usd: float
    requests: int | None

    @property
    def words(self) -> str:
        """The estimate in one sentence."""
        one, worst = self.request_usd, self.worst_request_usd
        if self.requests is None:
            return f"about {usd(one)} a request, at most {usd(worst)}; how many is not known beforehand"
        all_of_them, at_most = usd(one * self.requests), usd(worst * self.requests)
        return f"about {all_of_them} for {self.requests:,} requests, at most {at_most}"


def estimate(price: Price, sizes: Sequence[Size], requests: int | None) -> Estimate | None:
    """The estimate at a price by use; None when there is nothing to go by."""
    likely = [Meter(price).nano_usd(_likely(size)) for size in sizes]
    worst = [Meter(dearest(price)).nano_usd(_worst(size)) for size in sizes]
    known = [cost for cost in likely if cost is not None]
    most = [cost for cost in worst if cost is not None]
    if not known or len(most) < len(sizes):
        return None
    return Estimate(sum(known) / len(known) / 1e9, max(most) / 1e9, requests)


def dearest(price: Price) -> Price:
    """A price whose plain rates are the highest that any token of that direction may cost at any time."""
    sets: list[Mapping[str, float | None]] = [{name: getattr(price, name) for name in RATES}]
    sets += [step.rates for step in price.steps]
    most = {name: max((rates.get(name) or 0.0 for rates in sets), default=0.0) for name in RATES}
    prompt = ("input", "cached_input", "cache_write", "audio_input")
    output = ("output", "reasoning", "audio_output")
    return Price(
        price.name,
        "token",
        price.source,
        price.as_of,
        input_usd_per_mtok=max(most[f"{name}_usd_per_mtok"] for name in prompt),
        output_usd_per_mtok=max(most[f"{name}_usd_per_mtok"] for name in output),
        audio_usd_per_s=most["audio_usd_per_s"] or None,
        usd_per_request=most["usd_per_request"] or None,
    )


def _likely(size: Size) -> Use:
    prompt = -(-size.prompt_bytes // _BYTES_PER_TOKEN) + size.messages * _LIKELY_FRAME
    return Use(prompt, size.max_tokens, audio_s=size.audio_bytes / _LIKELY_AUDIO_BYTES_PER_S)


def _worst(size: Size) -> Use:
    prompt = size.prompt_bytes + size.messages * _WORST_FRAME
    return Use(prompt, size.max_tokens, audio_s=size.audio_bytes / _WORST_AUDIO_BYTES_PER_S)
