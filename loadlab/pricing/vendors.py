"""The price book of hosted models: the package genai-prices, read offline and turned into a Price.

It is imported only when a hosted model is looked up: that takes a tenth of a second and 30 MB. What a vendor
charges by and loadlab does not count (images, web searches) is named in the assumption.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from loadlab.core.money import Price, PriceStep
from loadlab.pricing.meter import RATES

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

PACKAGE = "genai-prices"
# Prices that change by the time of day are looked up for so long; a later request has no price.
HORIZON = timedelta(days=31)
_PER_MTOK = {
    "input_mtok": "input_usd_per_mtok",
    "output_mtok": "output_usd_per_mtok",
    "cache_read_mtok": "cached_input_usd_per_mtok",
    "cache_write_mtok": "cache_write_usd_per_mtok",
    "output_reasoning_mtok": "reasoning_usd_per_mtok",
    "input_audio_mtok": "audio_input_usd_per_mtok",
    "output_audio_mtok": "audio_output_usd_per_mtok",
}
_SCALED = {
    "audio_hours": ("audio_usd_per_s", 3600),
    "input_audio_hours": ("audio_usd_per_s", 3600),
    "requests_kcount": ("usd_per_request", 1000),
}
_UNLISTED_HOSTS = {"api.together.ai": "together"}


class Listed(NamedTuple):
    """One model of the book: PROVIDER/MODEL as `--price` takes it, and its price today."""

    name: str
    price: Price


def at_host(url: str, model: str, tier: str | None = None) -> tuple[Price | None, str]:
    """(price, "") of the model where it is served; else (None, why), "" when no vendor is known there."""
    host = urlsplit(url).hostname or ""
    if not model or not public(host):
        return None, ""
    from genai_prices.data_snapshot import get_snapshot

    try:
        provider = get_snapshot().find_provider(None, _UNLISTED_HOSTS.get(host), url)
    except LookupError:
        return None, ""
    return _priced(provider, model, tier)


def named(name: str) -> tuple[Price | None, str]:
    """(price, "") of PROVIDER/MODEL or PROVIDER/MODEL@TIER; (None, why) when the book has no such entry."""
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    vendor, _, rest = name.partition("/")
    model, _, tier = rest.partition("@")
    provider = find_provider_by_id(get_snapshot().providers, vendor) if model else None
    return _priced(provider, model, tier or None) if provider else (None, "")


def listing(pattern: str) -> list[Listed]:
    """Every model of the book whose PROVIDER/MODEL contains the pattern, with its price today."""
    from genai_prices.data_snapshot import get_snapshot

    found = []
    for provider in get_snapshot().providers:
        for model in provider.models:
            name = f"{provider.id}/{model.id}"
            if pattern.lower() in name.lower() and (price := _priced(provider, model.id, None)[0]):
                found.append(Listed(name, price))
    return found


def public(host: str) -> bool:
    """Whether a host can be a vendor's: a name with a dot, not an address and not this machine."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith((".local", ".internal", ".localhost"))
    return False


def _priced(provider: Provider, model_name: str, tier: str | None) -> tuple[Price | None, str]:
    from genai_prices.data_snapshot import get_snapshot

    book = f"{PACKAGE} {version(PACKAGE)}"
    model = provider.find_model(model_name, all_providers=get_snapshot().providers)
    if model is None:
        return None, f"{book} knows {provider.id} and no model '{model_name}' there"
    context = _context(model, tier)
    if tier and context is None:
        return None, f"{book} has no price of {provider.id}/{model.id} for tier '{tier}'; {_tiers(model)}"
    now = datetime.now(UTC).replace(microsecond=0)
    rates, uncounted = _rates(model.get_prices(now, context))
    if not rates:
        return None, f"{book} lists {provider.id}/{model.id} without a price that loadlab counts"
    return Price(
        name=f"{provider.id}/{model.id}" + (f"@{tier}" if tier else ""),
        kind="token",
        source=f"{PACKAGE}, provider {provider.id}",
        version=version(PACKAGE),
        as_of=now.date().isoformat(),
        assumption=_assumption(tier, uncounted),
        steps=tuple(_steps(model, context, now)),
        **rates,
    ), ""


def _context(model: ModelInfo, tier: str | None) -> dict[str, str] | None:
    """The book's words for a tier of this model: processing=batch, service_tier=flex, speed=fast."""
    wanted = [variant.when for variant in model.price_variants or () if tier in variant.when.values()]
    return dict(wanted[0]) if tier and wanted else None


def _tiers(model: ModelInfo) -> str:
    known = sorted({word for variant in model.price_variants or () for word in variant.when.values()})
    return f"it has {', '.join(known)}" if known else "it has one price only"


def _assumption(tier: str | None, uncounted: Iterable[str]) -> str:
    left_out = ", ".join(sorted(uncounted))
    return "; ".join(
        filter(None, (tier and f"tier {tier}, as asked", left_out and f"not counted here: {left_out}"))
    )


def _steps(model: ModelInfo, context: dict[str, str] | None, now: datetime) -> Iterable[PriceStep]:
    """Tiers by the length of the prompt, and every change that the book foresees."""
    price = model.get_prices(now, context)
    yield from _tiered(price, "")
    for at in _turns(model, now):
        later = model.get_prices(at, context)
        if later != price:
            price = later
            yield PriceStep(_rates(later)[0], at.isoformat())
            yield from _tiered(later, at.isoformat())
    if _by_the_hour_of_day(model):
        yield PriceStep({}, (now + HORIZON).isoformat())


def _tiered(price: ModelPrice, since: str) -> Iterable[PriceStep]:
    starts = {tier.start for _, value in _listed(price) if not _plain(value) for tier in value.tiers}
    for start in sorted(starts):
        yield PriceStep(_rates(price, prompt_tokens=start + 1)[0], since, start)


def _turns(model: ModelInfo, now: datetime) -> list[datetime]:
    """The instants to come, within the horizon, at which a condition of the book may change its mind."""
    turns = set()
    for condition in _conditions(model):
        if start := getattr(condition, "start_date", None):
            turns.add(datetime.combine(start, time(), UTC))
        for name in ("start_time", "end_time"):
            if at := getattr(condition, name, None):
                at = at if at.tzinfo else at.replace(tzinfo=UTC)
                turns |= {datetime.combine(now.date() + timedelta(days=day), at) for day in range(-1, 32)}
    return sorted(at.astimezone(UTC) for at in turns if now < at.astimezone(UTC) < now + HORIZON)


def _by_the_hour_of_day(model: ModelInfo) -> bool:
    return any(hasattr(condition, "start_time") for condition in _conditions(model))


def _conditions(model: ModelInfo) -> list[Any]:
    prices = model.prices if isinstance(model.prices, list) else []
    return [row.constraint for row in (*prices, *(model.price_variants or ())) if row.constraint is not None]


def _rates(price: ModelPrice, prompt_tokens: int = 0) -> tuple[dict[str, Any], set[str]]:
    """Fields of Price for a prompt of that length, and the book's names of what has none."""
    rates, uncounted = {}, set()
    for name, value in _listed(price):
        rate = value if _plain(value) else _at_length(value, prompt_tokens)
        if name in _PER_MTOK:
            rates[_PER_MTOK[name]] = float(rate)
        elif name in _SCALED:
            field, per = _SCALED[name]
            rates[field] = float(rate / per)
        elif not name.startswith("cache_write_"):  # another lifetime of what cache_write_mtok prices
            uncounted.add(name)
    return {name: rates[name] for name in RATES if name in rates}, uncounted


def _listed(price: ModelPrice) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(price).items() if value is not None]


def _plain(value: Any) -> bool:
    return not hasattr(value, "tiers")


def _at_length(value: Any, prompt_tokens: int) -> Any:
    applying = [tier.price for tier in value.tiers if prompt_tokens > tier.start]
    return applying[-1] if applying else value.base
