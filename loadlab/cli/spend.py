"""What `loadlab run` asks and refuses before money is spent: estimate, cap on cost, cap on rate."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from loadlab.cli.output import say
from loadlab.core.errors import UsageError
from loadlab.core.nouns import Level, Price, Route, Run
from loadlab.core.units import usd

if TYPE_CHECKING:
    from loadlab.pricing.estimate import Estimate

MAX_RATE = 20.0


def guarded(run: Run, max_cost: float | None, max_rate: float | None, yes: bool) -> Run:
    """The run with its caps. Raises UsageError where one is missing, cannot be kept, or is exceeded."""
    for name, value in (("max-cost", max_cost), ("max-rate", max_rate)):
        if value is not None and not 0 < value < float("inf"):
            raise UsageError(f"--{name} {value:g} leaves nothing to do; it must be more than 0.")
    here = all(on_this_machine(place.endpoint.url) for place in _places(run))
    rate = max_rate if here else (max_rate or MAX_RATE)
    if rate:
        _check_rate(run, rate, given=max_rate is not None)
    cost = _cost_guarded(run, max_cost, yes=yes)
    return replace(run, max_rate=rate, **cost)


def on_this_machine(url: str) -> bool:
    """Whether the endpoint is on loopback: nobody else's machine, and nobody's bill."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def planned_requests(levels: Sequence[Level]) -> int | None:
    """How many requests the levels will send; None where a closed loop decides that by its pace."""
    counts = [_planned(level) for level in levels]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def _planned(level: Level) -> int | None:
    if level.requests is not None:
        return level.requests
    if level.rate is None:
        return None
    if level.trace:
        from loadlab.core.trace import read

        return len(read(level.trace))
    return round(level.rate * (level.duration_s or 0.0))


def _check_rate(run: Run, limit: float, *, given: bool) -> None:
    where = urlsplit(run.endpoint.url).netloc
    whose = "--max-rate" if given else "the default for a host that is not this machine"
    if fast := [peak for level in run.levels if (peak := _peak(level)) > limit]:
        raise UsageError(
            f"{max(fast):g} requests per second to {where} is more than {limit:g}, {whose}; "
            f"if its owner agrees, give --max-rate {max(fast):g}."
        )
    if not given:
        say(f"{where} is not this machine: at most {limit:g} requests per second (--max-rate to change it)")


def _peak(level: Level) -> float:
    """The highest mean rate that a schedule reaches; 0 for a closed loop, which is held back as it goes."""
    if level.profile:
        from loadlab.shapes import parse_profile

        return max(point.rate for point in parse_profile(level.profile))
    return level.rate or 0.0


def _places(run: Run) -> list[Route]:
    """The target of a run and its routes, each with its price."""
    return [Route(run.endpoint.name, run.endpoint, run.price, run.unpriced), *run.routes]


def _cost_guarded(run: Run, max_cost: float | None, *, yes: bool) -> dict[str, Any]:
    places = _places(run)
    for place in places:
        _say_unpriced(place, max_cost)
    hourly = [place.price for place in places if place.price and place.price.kind == "hour"]
    by_use = [place for place in places if place.price and place.price.kind == "token"]
    if max_cost is not None and hourly and len(places) > 1:
        raise UsageError("--max-cost with --route needs prices by use; one of these is per hour.")
    if not by_use:
        return {} if max_cost is None or not hourly else _by_the_hour(hourly[0], max_cost)
    if max_cost is None and all(on_this_machine(place.endpoint.url) for place in by_use):
        return {}
    return _by_use(run, [place.price for place in by_use if place.price], max_cost, yes=yes)


def _say_unpriced(place: Route, max_cost: float | None) -> None:
    if place.price is not None:
        return
    if max_cost is not None:
        raise UsageError(f"--max-cost {max_cost:g} cannot be kept, as the run is {place.unpriced}")
    if not on_this_machine(place.endpoint.url):
        say(f"{place.unpriced.rstrip('.')} (so nothing stops this run at a cost)")


def _by_use(run: Run, prices: Sequence[Price], max_cost: float | None, *, yes: bool) -> dict[str, Any]:
    found, price = _estimated(run, prices)
    if max_cost is None and not yes:
        raise UsageError(
            f"this run costs money: {found.words} ({price.name}, {price.source}). "
            "Give --max-cost USD to stop it there, or --yes to run without a cap."
        )
    say(f"estimate: {found.words}")
    if max_cost is None:
        return {}
    say(
        f"it stops at {usd(max_cost)}; requests in flight then are still paid for, "
        f"up to {usd(found.worst_request_usd)} each"
    )
    return {"max_cost_usd": max_cost, "worst_request_usd": found.worst_request_usd}


def _by_the_hour(price: Price, max_cost: float) -> dict[str, float]:
    if price.units is None:
        raise UsageError(
            f"--max-cost with {price.name} needs the number of devices; write it like --price 2x{price.name}."
        )
    return {"max_cost_usd": max_cost}


def _estimated(run: Run, prices: Sequence[Price]) -> tuple[Estimate, Price]:
    """As if every request went to the dearest of the prices.

    Raises UsageError where a price charges by something that no request states beforehand.
    """
    from loadlab.drive.sizes import sizes_of
    from loadlab.pricing.estimate import Size, estimate

    sizes, planned = [Size(*size) for size in sizes_of(run)], planned_requests(run.levels)
    found = [(estimate(price, sizes, planned), price) for price in prices]
    known = [(one, price) for one, price in found if one]
    if len(known) < len(found):
        names = ", ".join(price.name for price in prices)
        raise UsageError(f"what a request costs at {names} cannot be estimated; give another --price.")
    return max(known, key=lambda pair: pair[0].worst_request_usd)
