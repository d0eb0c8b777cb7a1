"""What is given besides a price: [cost] and [slo] of loadlab.toml, and flags over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from loadlab.core import config as configuration
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.metrics import METRICS
from loadlab.core.money import Terms

BUDGET = "budget_usd_per_month"
_NUMBERS = tuple(field.name for field in fields(Terms) if field.name != "slo")


def terms(config: Mapping[str, Any] | None = None, slo: str | None = None, **flags: float | None) -> Terms:
    """The terms of loadlab.toml with what the flags say instead; `slo` is like ttft_ms=500,tpot_ms=50.

    `config` is the parsed file, read when not given. Raises UsageError.
    """
    config = configuration.load() if config is None else config
    return changed(check_terms(_written(config), "loadlab.toml: [cost] "), slo, **flags)


def changed(base: Terms, slo: str | None = None, **flags: float | None) -> Terms:
    """The same terms with what the flags say instead. Raises UsageError."""
    given: dict[str, Any] = {name: value for name, value in flags.items() if value is not None}
    if slo is not None:
        given["slo"] = _limits(slo)
    return check_terms(replace(base, **given))


def budget_usd_per_month(config: Mapping[str, Any] | None = None) -> float | None:
    """What [cost] of loadlab.toml says may be spent in a month; None when nothing. Raises UsageError."""
    config = configuration.load() if config is None else config
    _written(config)
    budget = config.get("cost", {}).get(BUDGET)
    if budget is not None and not budget > 0:
        raise UsageError(f"loadlab.toml: [cost] {BUDGET} = {budget:g} cannot be; it must be more than 0.")
    return None if budget is None else float(budget)


def _written(config: Mapping[str, Any]) -> Terms:
    table, slo = config.get("cost", {}), config.get("slo", {})
    if strange := sorted(set(table) - {*_NUMBERS, BUDGET}):
        raise UnknownNameError("key of [cost] in loadlab.toml", strange[0], (*_NUMBERS, BUDGET))
    for where, values in (("cost", table), ("slo", slo)):
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"loadlab.toml: [{where}] {name} = {value!r} is not a number.")
    given = {name: value for name, value in table.items() if name != BUDGET}
    return Terms(**given, slo={_per_request(name): float(limit) for name, limit in slo.items()})


def _limits(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        name, _, limit = part.partition("=")
        try:
            found[_per_request(name.strip())] = float(limit)
        except ValueError as error:
            raise UsageError(
                f"--slo '{part}' is not understood; write it like ttft_ms=500,tpot_ms=50."
            ) from error
    return found


def _per_request(name: str) -> str:
    """The metric, which must be one of single requests: a limit is kept or broken by each of them."""
    known = [metric.name for metric in METRICS.values() if metric.per == "request"]
    if name not in known:
        raise UnknownNameError("SLO metric", name, known)
    return name


def check_terms(terms: Terms, where: str = "") -> Terms:
    """The same terms. Raises UsageError for what cannot be: `where` names the place they came from."""
    limits = {
        "duty_cycle": (0 < terms.duty_cycle <= 1, "more than 0 and at most 1"),
        "input_weight": (0 <= terms.input_weight < 1e6, "0 or more"),
        "usd_per_kwh": (terms.usd_per_kwh is None or 0 <= terms.usd_per_kwh < 1e6, "0 or more"),
        "pue": (1 <= terms.pue < 100, "1 or more: a site draws at least what its devices do"),
        "batch_discount": (
            terms.batch_discount is None or 0 <= terms.batch_discount < 1,
            "a share from 0 to below 1",
        ),
        "g_co2e_per_kwh": (terms.g_co2e_per_kwh is None or 0 <= terms.g_co2e_per_kwh < 1e6, "0 or more"),
    }
    for name, (sound, words) in limits.items():
        if not sound:
            raise UsageError(f"{where}{name} = {getattr(terms, name):g} cannot be; it must be {words}.")
    for metric, limit in terms.slo.items():
        if not limit > 0:
            raise UsageError(f"{where}slo: {metric} = {limit:g} cannot be; a limit must be more than 0.")
    return terms
