"""Cost formulas, pure: hours, denominators, energy, carbon, mixes. Money is USD; unknown in, unknown out."""

from __future__ import annotations

from loadlab.core.money import Price, Terms

NANO_PER_USD = 10**9
_S_PER_HOUR = 3600.0
_J_PER_KWH = 3.6e6


def hours_usd(price: Price, seconds: float | None, seen_devices: int | None = None) -> float | None:
    """What the hardware of an hourly price costs for so many seconds; None when either is unknown.

    Where the price does not say how many devices it is for, those seen at work count, and else one.
    """
    if price.usd_per_hour is None or seconds is None:
        return None
    units = (seen_devices or 1) if price.units is None else 1
    return price.usd_per_hour * units * seconds / _S_PER_HOUR


def usd_per_mtok(usd: float | None, tokens: float | None) -> float | None:
    """USD per million of these tokens; None when unpriced or when there are none."""
    return None if usd is None or not tokens or tokens <= 0 else usd / tokens * 1e6


def weighted_tokens(prompt: float | None, output: float | None, input_weight: float) -> float | None:
    """Output tokens, and prompt tokens at what they count beside them; None when one is unknown."""
    return None if prompt is None or output is None else output + prompt * input_weight


def kwh(joule: float | None, pue: float) -> float | None:
    """Energy of the whole site in kWh for `joule` at the devices."""
    return None if joule is None else joule * pue / _J_PER_KWH


def energy_usd(joule: float | None, terms: Terms) -> float | None:
    """What the energy cost in USD; None without a measured energy or a tariff."""
    energy = kwh(joule, terms.pue)
    return None if energy is None or terms.usd_per_kwh is None else energy * terms.usd_per_kwh


def kg_co2e(joule: float | None, terms: Terms) -> float | None:
    """What the energy emitted in kg CO2e; None without a measured energy or a grid intensity."""
    energy = kwh(joule, terms.pue)
    return None if energy is None or terms.g_co2e_per_kwh is None else energy * terms.g_co2e_per_kwh / 1000


def mixed(first: float | None, second: float | None, share: float) -> float | None:
    """The mean of two figures per request of which the second has the share; None when a needed one is."""
    if share == 0:
        return first
    if share == 1:
        return second
    return None if first is None or second is None else (1 - share) * first + share * second
