"""Which price applies: one named by the user, one of the target, or the one of the model where it is served.

A name may be
    h100-hour              an entry of loadlab.toml, of `loadlab prices set`, or of prices.toml
    8xh100-hour            that many units of it; without a number, as many devices as were seen at work
    cpu-hour               every vCPU of this host; 4xcpu-hour for four
    2.50/h                 your own price of the whole deployment; also usd-per-hour:2.50
    openai/gpt-5-mini      a model of genai-prices, wherever it is served; openai/gpt-5-mini@batch for a tier
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Price
from loadlab.pricing import own, vendors
from loadlab.pricing.own import Entry

_NUMBER = r"-?\d+(?:\.\d+)?"
_OWN = re.compile(rf"\$?({_NUMBER})/h|usd-per-hour:({_NUMBER})")
_MULTIPLE = re.compile(r"(\d+)x(.+)")


def resolve(
    name: str | None, endpoint: Endpoint, config: Mapping[str, Any] | None = None
) -> tuple[Price | None, str]:
    """(price, "") for the name, the endpoint's own reference or its model; else (None, "unpriced: why").

    `config` is the parsed loadlab.toml; without it the user's files are read. Raises UnknownNameError for a
    name that is not known and UsageError for a price that makes no sense.
    """
    entries = known(config)
    if wanted := name or endpoint.price:
        return _named(wanted, entries), ""
    host = urlsplit(endpoint.url).hostname
    for entry in entries.values():
        if entry.is_for(endpoint.model, host):
            return entry.price, ""
    tier = endpoint.body.get("service_tier")
    price, why = vendors.at_host(endpoint.url, endpoint.model, None if tier in (None, "auto") else str(tier))
    why = why or f"no price is named and none is known for model '{endpoint.model}' at {host}"
    return price, "" if price else f"unpriced: {why}; give one with --price, such as cpu-hour or 2.50/h."


def known(config: Mapping[str, Any] | None = None) -> dict[str, Entry]:
    """Every price by name, the user's own first: they win over those shipped. Raises UsageError."""
    mine = own.read(config)
    return {**mine, **{name: entry for name, entry in shipped().items() if name not in mine}}


@cache
def shipped() -> dict[str, Entry]:
    """The hardware prices that loadlab knows, by name."""
    text = files(__package__).joinpath("prices.toml").read_text(encoding="utf-8")
    return own.entries(tomllib.loads(text), "prices.toml")


def _named(name: str, entries: Mapping[str, Entry]) -> Price:
    if given := _OWN.fullmatch(name):
        return _own(name, float(given[1] or given[2]))
    multiple = None if name in entries else _MULTIPLE.fullmatch(name)
    key = multiple[2] if multiple else name
    if key not in entries:
        return _vendors(key, entries)
    price, unit = entries[key].price, entries[key].unit
    count = int(multiple[1]) if multiple else None
    if count is not None and (count == 0 or price.kind == "token"):
        raise UsageError(
            f"price '{name}' makes no sense: only a price per hour can be taken, one or more times."
        )
    return _counted(price, unit, count) if price.kind == "hour" else price


def _vendors(name: str, entries: Mapping[str, Entry]) -> Price:
    price, why = vendors.named(name) if "/" in name else (None, "")
    if price is None and why:
        raise UsageError(f"price '{name}' cannot be used: {why}.")
    if price is None:
        raise UnknownNameError("price", name, entries)
    return price


def _own(name: str, usd_per_hour: float) -> Price:
    if usd_per_hour <= 0:
        raise UsageError(f"price '{name}' is not positive; leave --price away when the price is not known.")
    return Price(
        name=name,
        kind="hour",
        source="given by the user",
        as_of=datetime.now(UTC).date().isoformat(),
        assumption="for the whole deployment",
        usd_per_hour=usd_per_hour,
    )


def _counted(price: Price, unit: str, count: int | None) -> Price:
    """The hourly price of so many units, or of one device where their number is left to be seen."""
    units, words = _units(unit, count)
    assumption = "; ".join(filter(None, (price.assumption, words)))
    usd_per_hour = (price.usd_per_hour or 0.0) * (units or 1)
    return replace(price, usd_per_hour=usd_per_hour, units=units, assumption=assumption)


def _units(unit: str, count: int | None) -> tuple[int | None, str]:
    """How many units are paid for, None where that is to be seen, and what to say of it."""
    if unit == "vcpu" and count is None:
        vcpus = os.cpu_count() or 1
        return vcpus, f"all {vcpus} vCPUs of the host that ran loadlab, at list price"
    if unit == "device" and count is None:
        return None, "per device"
    units = count or 1
    return units, f"{units} {'vCPU' if unit == 'vcpu' else unit}{'s' * (units > 1)}"
