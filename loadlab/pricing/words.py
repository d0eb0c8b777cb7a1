"""A price in words, the same wherever it is shown."""

from __future__ import annotations

from loadlab.core.money import Price
from loadlab.core.units import usd

_PER_MTOK = {
    "in": "input_usd_per_mtok",
    "cached": "cached_input_usd_per_mtok",
    "cache write": "cache_write_usd_per_mtok",
    "audio in": "audio_input_usd_per_mtok",
    "out": "output_usd_per_mtok",
    "reasoning": "reasoning_usd_per_mtok",
    "audio out": "audio_output_usd_per_mtok",
}
_PER_OTHER = {"h": "usd_per_hour", "s of audio": "audio_usd_per_s", "request": "usd_per_request"}


def rates(price: Price) -> str:
    """Every rate that is charged: "$0.250/Mtok in, $2.00/Mtok out"."""
    found = [(f"/Mtok {of}", getattr(price, name)) for of, name in _PER_MTOK.items()]
    found += [(f"/{of}", getattr(price, name)) for of, name in _PER_OTHER.items()]
    words = [f"{usd(rate)}{of}" for of, rate in found if rate is not None]
    more = len(price.steps)
    steps = [f"{more} further rate{'s' * (more > 1)} by time or length"] if more else []
    return ", ".join([*words, *steps])


def provenance(price: Price) -> str:
    """What is assumed of it, its source with version, and its day."""
    source = f"{price.source} {price.version}".strip()
    return ", ".join(part for part in (price.assumption, source, price.as_of) if part)
