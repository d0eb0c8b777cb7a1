"""Prices of the user's own: [prices.NAME] of loadlab.toml, and what `loadlab prices set` wrote beside it.

A name has one table, or several ([[prices.NAME]]): the first is the price, each later one replaces its rates
from `since` on or above `above_prompt_tokens`. Of hourly prices the one in force when a run begins is taken.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from loadlab.core import config as configuration
from loadlab.core.errors import UsageError
from loadlab.core.money import Price, PriceStep
from loadlab.pricing.meter import RATES, instant

FILE = "loadlab.prices.toml"
PER_1000 = "usd_per_1000_inferences"
MONEY_KEYS = ("usd_per_hour", *RATES, PER_1000)
UNITS = ("deployment", "device", "vcpu")
TERMS = ("on-demand", "reserved", "spot")
_WORDS = ("source", "assumption", "unit", "terms")
_KEYS = {*MONEY_KEYS, *_WORDS, "as_of", "models", "hosts", "since", "above_prompt_tokens"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A named price before it is chosen: per `unit` where it is hourly, else for `models` at `hosts`."""

    price: Price
    unit: str = "deployment"
    models: tuple[str, ...] = ()
    hosts: tuple[str, ...] | None = None

    def is_for(self, model: str, host: str | None) -> bool:
        """Whether it applies by itself to this model there."""
        return self.price.kind == "token" and model in self.models and (not self.hosts or host in self.hosts)


def read(config: Mapping[str, Any] | None = None) -> dict[str, Entry]:
    """The user's prices by name; loadlab.toml wins over the file beside it. Raises UsageError for a bad one.

    `config` is a parsed loadlab.toml; without one, the nearest and the file beside it are read.
    """
    if config is not None:
        return entries(config.get("prices", {}), "loadlab.toml")
    written = configuration.parse(place()) if place().is_file() else {}
    return {
        **entries(written.get("prices", {}), FILE),
        **entries(configuration.load().get("prices", {}), "loadlab.toml"),
    }


def place() -> Path:
    """The file that `loadlab prices set` writes: beside the nearest loadlab.toml, or in this directory."""
    return configuration.folder() / FILE


def entries(tables: Any, file: str) -> dict[str, Entry]:
    """Every price of a parsed file. Raises UsageError that names the entry and its fault."""
    if not isinstance(tables, Mapping):
        raise UsageError(f"{file}: prices must be tables such as [prices.NAME].")
    return {name: _entry(name, given, file) for name, given in tables.items()}


def written(name: str, table: Mapping[str, Any]) -> str:
    """The TOML text of one more table of that name."""
    lines = [f"{key} = {_toml(value)}" for key, value in table.items()]
    return "\n".join([head(name), *lines]) + "\n"


def head(name: str) -> str:
    """The line that begins a table of that name."""
    return f"[[prices.{_toml(name)}]]"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value)  # a JSON string is a TOML string
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, Sequence) else repr(value)


def _entry(name: str, given: Any, file: str) -> Entry:
    tables = given if isinstance(given, list) else [given]
    for number, table in enumerate(tables):
        more = f" number {number + 1}" if number else ""
        _check(f"{file}: [prices.{name}]{more}", table, first=number == 0)
    hourly = "usd_per_hour" in tables[0]
    if any(("usd_per_hour" in table) != hourly for table in tables):
        raise UsageError(f"{file}: [prices.{name}] is per hour in one table and by use in another; name two.")
    first = _hourly_now(tables) if hourly else tables[0]
    words = (first.get("assumption", ""), first.get("terms", ""))
    price = Price(
        name=name,
        kind="hour" if hourly else "token",
        source=first.get("source", file),
        as_of=str(first["as_of"]),
        assumption="; ".join(filter(None, words)),
        usd_per_hour=first.get("usd_per_hour"),
        steps=() if hourly else tuple(_step(table) for table in tables[1:]),
        **({} if hourly else _rates(first)),
    )
    hosts = first.get("hosts")
    return Entry(
        price,
        unit=first.get("unit", "deployment"),
        models=tuple(first.get("models", (name,))),
        hosts=None if hosts is None else tuple(hosts),
    )


def _hourly_now(tables: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The table in force today: an hourly price is the one at which a run begins."""
    now_ns = time.time_ns()
    begun = [table for table in tables[1:] if instant(_iso(table["since"])) <= now_ns]
    newest = max(begun, key=lambda table: instant(_iso(table["since"])), default={})
    dated = {"as_of": _iso(newest["since"])[:10]} if newest else {}
    return {**tables[0], **dated, **newest}


def _rates(table: Mapping[str, Any]) -> dict[str, Any]:
    rates = {name: float(table[name]) for name in RATES if name in table}
    if PER_1000 in table:
        rates["usd_per_request"] = float(table[PER_1000]) / 1000
    return rates


def _step(table: Mapping[str, Any]) -> PriceStep:
    since = _iso(table["since"]) if "since" in table else ""
    return PriceStep(_rates(table), since, int(table.get("above_prompt_tokens", 0)))


def _iso(value: Any) -> str:
    """A TOML date, time or string as UTC ISO 8601. Raises ValueError."""
    at_ns = instant(str(value))
    return datetime.fromtimestamp(at_ns // 10**9, UTC).isoformat(timespec="seconds")


def _check(where: str, table: Any, *, first: bool) -> None:
    """Raises UsageError for a table that cannot be a price."""
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table with usd_per_hour, or {RATES[0]} and {RATES[1]}.")
    if strange := sorted(set(table) - _KEYS):
        raise UsageError(f"{where} has unknown key '{strange[0]}'. Known: {', '.join(sorted(_KEYS))}.")
    _check_money(where, table)
    _check_words(where, table)
    if first and {"since", "above_prompt_tokens"} & set(table):
        raise UsageError(f"{where} is the first of its name and needs no since or above_prompt_tokens.")
    if first and "as_of" not in table:
        raise UsageError(
            f'{where} has no date; add as_of = "2026-11-21", the day on which it was true by its source.'
        )
    if "usd_per_hour" in table and "above_prompt_tokens" in table:
        raise UsageError(f"{where} is per hour, where the length of a prompt changes nothing; say since.")
    if not first and not {"since", "above_prompt_tokens"} & set(table):
        raise UsageError(f"{where} must say from when (since) or above how many tokens it applies.")


def _check_money(where: str, table: Mapping[str, Any]) -> None:
    for key in filter(table.__contains__, (*MONEY_KEYS, "above_prompt_tokens")):
        amount = table[key]
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 < amount < float("inf"):
            raise UsageError(f"{where} {key} = {amount!r} is not a positive number.")
    by_use = [key for key in MONEY_KEYS[1:] if key in table]
    if ("usd_per_hour" in table) == bool(by_use):
        raise UsageError(
            f"{where} needs either usd_per_hour or rates by use, such as {RATES[0]} and {RATES[1]}."
        )
    if PER_1000 in table and "usd_per_request" in table:
        raise UsageError(f"{where} has both {PER_1000} and usd_per_request, which say the same; keep one.")
    for of, plain in (("cached_input", "input"), ("cache_write", "input"), ("reasoning", "output")):
        if f"{of}_usd_per_mtok" in table and f"{plain}_usd_per_mtok" not in table:
            raise UsageError(f"{where} has {of}_usd_per_mtok without {plain}_usd_per_mtok, its whole.")


def _check_words(where: str, table: Mapping[str, Any]) -> None:
    for key, known in (("unit", UNITS), ("terms", TERMS)):
        if key in table and table[key] not in known:
            raise UsageError(f"{where} {key} = {table[key]!r} is not one of {', '.join(known)}.")
    for key in filter(table.__contains__, ("models", "hosts")):
        if not isinstance(table[key], list) or not all(isinstance(word, str) for word in table[key]):
            raise UsageError(f"{where} {key} = {table[key]!r} is not a list of names.")
    if "as_of" in table:
        _check_date(where, table["as_of"])
    if "since" in table:
        try:
            _iso(table["since"])
        except ValueError as error:
            raise UsageError(f"{where} since = {str(table['since'])!r} is not a date: {error}.") from error


def _check_date(where: str, given: Any) -> None:
    try:
        day = date.fromisoformat(str(given))
    except ValueError as error:
        raise UsageError(f"{where} as_of = {str(given)!r} is not a date such as 2026-11-21.") from error
    if day > datetime.now(UTC).date() + timedelta(days=1):
        raise UsageError(f"{where} as_of = {day} is still to come; for a price that begins then, use since.")
