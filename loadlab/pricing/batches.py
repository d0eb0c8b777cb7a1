"""What a batch is priced at: a discount that was given, else the batch tier that the book has of the vendor.

A price per hour is the same for a batch: the hardware does not know what it computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loadlab.core import config as configuration
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint, Price
from loadlab.pricing import vendors
from loadlab.pricing.book import resolve
from loadlab.pricing.meter import RATES
from loadlab.pricing.terms import terms

_TIER = "batch"


def for_batch(
    name: str | None,
    endpoint: Endpoint,
    discount: float | None = None,
    config: Mapping[str, Any] | None = None,
) -> tuple[Price | None, str, Price | None]:
    """(price, "", what the same costs interactively) or (None, why, None).

    `discount` is the share off the usual price; not given, that of [cost] in loadlab.toml, then the
    book's batch tier. Raises UsageError.
    """
    usual, why = resolve(name, endpoint, config)
    if usual is None:
        return None, why, None
    if usual.kind == "hour":
        return usual, "", usual
    config = configuration.load() if config is None else config
    off = terms(config).batch_discount if discount is None else discount
    if off is not None:
        return discounted(usual, off), "", usual
    return _listed(name or endpoint.price, endpoint) or _undiscounted(usual), "", usual


def discounted(usual: Price, off: float) -> Price:
    """The price with a share off every rate. Raises UsageError for a share that is none."""
    if not 0 <= off < 1:
        raise UsageError(
            f"a batch discount of {off:g} cannot be; it is a share from 0 to below 1, such as 0.5."
        )
    rates = {name: rate * (1 - off) for name in RATES if (rate := getattr(usual, name)) is not None}
    steps = tuple(
        replace(step, rates={name: rate * (1 - off) for name, rate in step.rates.items()})
        for step in usual.steps
    )
    assumption = "; ".join(filter(None, (usual.assumption, f"{off:.0%} off as a batch, as given")))
    return replace(usual, name=f"{usual.name} -{off:.0%}", assumption=assumption, steps=steps, **rates)


def _listed(name: str | None, endpoint: Endpoint) -> Price | None:
    """The batch tier of the book."""
    if name:
        return vendors.named(f"{name}@{_TIER}")[0] if "/" in name and "@" not in name else None
    return vendors.at_host(endpoint.url, endpoint.model, _TIER)[0]


def _undiscounted(usual: Price) -> Price:
    words = "; ".join(filter(None, (usual.assumption, "no batch price is known: the usual one")))
    return replace(usual, assumption=words)
