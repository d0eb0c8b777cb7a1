"""Prices and what they amount to. Knows dates and sources; knows no metric and no run.

What has no price is unpriced (None), never 0.
"""

from loadlab.pricing.book import known, resolve
from loadlab.pricing.costs import level_cost, tokens_nano_usd, usd_per_mtok

__all__ = ["known", "level_cost", "resolve", "tokens_nano_usd", "usd_per_mtok"]
