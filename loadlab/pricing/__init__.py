"""Prices and what they amount to. Knows dates and sources; knows no metric and no run.

What has no price is unpriced (None), never 0.
"""

from loadlab.pricing.batches import for_batch
from loadlab.pricing.book import known, resolve
from loadlab.pricing.costs import energy_usd, hours_usd, kg_co2e, mixed, usd_per_mtok, weighted_tokens
from loadlab.pricing.meter import Meter, Use
from loadlab.pricing.terms import budget_usd_per_month, terms

__all__ = [
    "Meter",
    "Use",
    "budget_usd_per_month",
    "energy_usd",
    "for_batch",
    "hours_usd",
    "kg_co2e",
    "known",
    "mixed",
    "resolve",
    "terms",
    "usd_per_mtok",
    "weighted_tokens",
]
