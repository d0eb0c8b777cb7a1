"""Which price applies: one named by the user, one of the target, or the one of the model where it is served.

A name may be
    h100-hour          an entry of prices.toml or of [prices.NAME] in loadlab.toml
    8xh100-hour        that many units of it
    cpu-hour           every vCPU of this host; 4xcpu-hour for four
    2.50/h             your own price of the whole deployment; also usd-per-hour:2.50
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from loadlab.core import config as configuration
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Price

_NUMBER = r"\d+(?:\.\d+)?"
_OWN = re.compile(rf"\$?({_NUMBER})/h|usd-per-hour:({_NUMBER})")
_MULTIPLE = re.compile(r"(\d+)x(.+)")
_TOKEN_KEYS = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok")
_MONEY_KEYS = ("usd_per_hour", *_TOKEN_KEYS)
_KEYS = {*_MONEY_KEYS, "unit", "source", "as_of", "assumption", "models", "hosts"}
_UNITS = ("deployment", "device", "vcpu")

Entry = Mapping[str, Any]


def resolve(
    name: str | None, endpoint: Endpoint, config: Mapping[str, Any] | None = None
) -> tuple[Price | None, str]:
    """(price, "") for the name, the endpoint's own reference or its model; else (None, "unpriced: why").

    `config` is the parsed loadlab.toml, read from the working directory when not given. Raises
    UnknownNameError for a name that is not known and UsageError for a price that makes no sense.
    """
    entries = known(config)
    if wanted := name or endpoint.price:
        return _named(wanted, entries), ""
    host = urlsplit(endpoint.url).hostname
    for key, entry in entries.items():
        if _is_for(key, entry, endpoint.model, host):
            return _price(key, entry, 1), ""
    return None, (
        f"unpriced: no price is named and none is known for model '{endpoint.model}' at {host}; "
        "give one with --price, such as cpu-hour, h100-hour or 2.50/h."
    )


def known(config: Mapping[str, Any] | None = None) -> dict[str, Entry]:
    """Every price by name: those shipped, under those of loadlab.toml. Raises UsageError for a bad entry."""
    own = (configuration.load() if config is None else config).get("prices", {})
    for name, entry in own.items():
        _check(name, entry)
    shipped = tomllib.loads(files(__package__).joinpath("prices.toml").read_text(encoding="utf-8"))
    return {**own, **{name: entry for name, entry in shipped.items() if name not in own}}


def _named(name: str, entries: Mapping[str, Entry]) -> Price:
    if own := _OWN.fullmatch(name):
        return _own(name, float(own[1] or own[2]))
    multiple = None if name in entries else _MULTIPLE.fullmatch(name)
    key = multiple[2] if multiple else name
    if key not in entries:
        raise UnknownNameError("price", key, entries)
    count = int(multiple[1]) if multiple else None
    if count is not None and (count == 0 or "usd_per_hour" not in entries[key]):
        raise UsageError(
            f"price '{name}' makes no sense: only a price per hour can be taken, one or more times."
        )
    return _price(key, entries[key], count)


def _own(name: str, usd_per_hour: float) -> Price:
    if usd_per_hour == 0:
        raise UsageError(f"price '{name}' is zero; leave --price away when the price is not known.")
    return Price(
        name=name,
        kind="hour",
        source="given by the user",
        as_of="",
        assumption="for the whole deployment",
        usd_per_hour=usd_per_hour,
    )


def _price(name: str, entry: Entry, count: int | None) -> Price:
    hourly = "usd_per_hour" in entry
    units, counted = _units(entry.get("unit", "deployment"), count)
    said = "; ".join(filter(None, (entry.get("assumption", ""), counted if hourly else "")))
    return Price(
        name=name,
        kind="hour" if hourly else "token",
        source=entry.get("source", "loadlab.toml"),
        as_of=str(entry.get("as_of", "")),
        assumption=said,
        usd_per_hour=entry["usd_per_hour"] * units if hourly else None,
        **{key: entry.get(key) for key in _TOKEN_KEYS},
    )


def _units(unit: str, count: int | None) -> tuple[int, str]:
    """How many units are paid for, and that in words."""
    if unit == "vcpu" and count is None:
        vcpus = os.cpu_count() or 1
        return vcpus, f"all {vcpus} vCPUs of the host that ran loadlab, at list price"
    units = count or 1
    return units, f"{units} {'vCPU' if unit == 'vcpu' else unit}{'s' * (units > 1)}"


def _is_for(name: str, entry: Entry, model: str, host: str | None) -> bool:
    hosts = entry.get("hosts")
    return (
        "usd_per_hour" not in entry
        and model in entry.get("models", (name,))
        and (hosts is None or host in hosts)
    )


def _check(name: str, entry: Any) -> None:
    """Raises UsageError for an entry of loadlab.toml that cannot be a price."""
    where = f"loadlab.toml: [prices.{name}]"
    if not isinstance(entry, Mapping):
        raise UsageError(
            f"{where} must be a table with usd_per_hour or {_TOKEN_KEYS[0]} and {_TOKEN_KEYS[1]}."
        )
    if strange := sorted(set(entry) - _KEYS):
        raise UsageError(f"{where} has unknown key '{strange[0]}'. Known: {', '.join(sorted(_KEYS))}.")
    if ("usd_per_hour" in entry) == all(key in entry for key in _TOKEN_KEYS[:2]):
        raise UsageError(f"{where} needs either usd_per_hour or both {_TOKEN_KEYS[0]} and {_TOKEN_KEYS[1]}.")
    for key in filter(entry.__contains__, _MONEY_KEYS):
        if isinstance(entry[key], bool) or not isinstance(entry[key], int | float) or not entry[key] > 0:
            raise UsageError(f"{where} {key} = {entry[key]!r} is not a positive number of USD.")
    if entry.get("unit", "deployment") not in _UNITS:
        raise UsageError(f"{where} unit = {entry['unit']!r} is not one of {', '.join(_UNITS)}.")
