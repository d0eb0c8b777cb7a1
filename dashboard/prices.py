"""What a price says, in words. Knows the noun, computes no cost."""

from __future__ import annotations

from typing import Any

from loadlab.core.nouns import Price
from loadlab.core.units import usd


def price_words(price: Price | None, unpriced: str) -> str:
    """One sentence: the rates and where they come from, or why there are none."""
    if price is None:
        return f"{unpriced or 'unpriced'}."
    given = [
        f"{name.lower().replace('mtok', 'Mtok')} {value}"
        for name, value in _rates(price)
        if value is not None
    ]
    origin = ", ".join(part for part in (price.assumption, price.source, f"as of {price.as_of}") if part)
    return f"Price {price.name}: {', '.join(given)} ({origin})."


def rate_words(price: Price) -> str:
    """The rates alone: "per hour $2.50"."""
    given = [f"{name.lower().replace('mtok', 'Mtok')} {value}" for name, value in _rates(price) if value]
    words = ", ".join(given) or "by steps or fees"
    return f"{words} of each device" if price.kind == "hour" and price.units is None else words


def price_facts(price: Price) -> list[tuple[str, Any]]:
    """Every field of a price as (name, value)."""
    words = [("Name", price.name), *_rates(price)]
    return [*words, ("Assumption", price.assumption), ("Source", price.source), ("As of", price.as_of)]


def _rates(price: Price) -> list[tuple[str, str | None]]:
    rates = {
        "Per hour": price.usd_per_hour,
        "Input per Mtok": price.input_usd_per_mtok,
        "Cached input per Mtok": price.cached_input_usd_per_mtok,
        "Output per Mtok": price.output_usd_per_mtok,
    }
    return [(name, None if rate is None else usd(rate)) for name, rate in rates.items()]
