"""The plan: what was asked and measured, made into replicas, money and what-ifs; puts the room together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from loadlab import pricing
from loadlab.core.errors import UsageError
from loadlab.core.money import Price
from loadlab.planner import aids, autoscale
from loadlab.planner.ask import Ask
from loadlab.planner.autoscale import Course
from loadlab.planner.breakeven import BreakEven, Traffic, break_even
from loadlab.planner.capacity import Capacity, capacity, next_loads
from loadlab.planner.commands import sweep_command
from loadlab.planner.criteria import Criterion, promise
from loadlab.planner.demand import Demand
from loadlab.planner.measured import Measured
from loadlab.planner.sizing import (
    HOURS_PER_MONTH,
    Sized,
    hardware,
    hourly_usd,
    interpolated,
    rate_at,
    replicas_for,
    size,
)

_SIDE = 0.2
_TEN_POINTS = 0.1


class Lever(NamedTuple):
    """What the answer would be with one thing changed: fewer (`low`) and more replicas (`high`)."""

    name: str
    low_words: str
    low: int
    high_words: str
    high: int


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One sweep's share (0 to 1) of the traffic, what it holds and what it takes."""

    share: float
    measured: Measured
    demand: Demand
    found: Capacity
    sized: Sized

    def replicas(
        self, ask: Ask, times: float = 1.0, stretch: float = 1.0, per_replica: float | None = None
    ) -> int | None:
        """For so many times the traffic and limits so many times as wide; None where no load keeps them."""
        each = per_replica or self.sized.per_replica
        if stretch != 1.0:
            low = self.found.stretched(stretch)
            if not low > 0:
                return None
            each = rate_at(self.measured, low) if self._converted else low
        return replicas_for(self.sized.peak * times, each, ask.headroom, ask.spare)

    @property
    def _converted(self) -> bool:
        return self.measured.axis == "users" and self.sized.unit == "req/s"

    def usd_per_hour(self, ask: Ask, times: float) -> float | None:
        """What the replicas for so many times the traffic cost."""
        count = self.replicas(ask, times)
        if count is None:
            return None
        _, gpus = hardware(count, self.sized.gpus_per_replica, ask.gpus_per_node)
        return hourly_usd(self.sized.price, count, gpus)


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The answer. `demand` is grown; `levers` lead with what moves the answer most; `courses` need a day."""

    ask: Ask
    demand: Demand
    criteria: tuple[Criterion, ...]
    parts: tuple[Part, ...]
    even: BreakEven | None
    no_even: str
    courses: tuple[Course, ...]
    levers: tuple[Lever, ...]

    @property
    def replicas(self) -> int:
        """Of all parts, spare ones included."""
        return sum(part.sized.replicas for part in self.parts)

    @property
    def fewest(self) -> int:
        """As many would do if the capacity is at the high end of its interval."""
        return sum(part.sized.fewest for part in self.parts)

    @property
    def gpus(self) -> int:
        """Paid for, in whole nodes where their size is given."""
        return sum(part.sized.gpus for part in self.parts)

    @property
    def nodes(self) -> int | None:
        """None where their size is not given."""
        found = total([part.sized.nodes for part in self.parts])
        return None if found is None else int(found)

    @property
    def usd_per_hour(self) -> float | None:
        """None as soon as one part has no price."""
        return total([part.sized.usd_per_hour for part in self.parts])

    @property
    def usd_per_month(self) -> float | None:
        """For 730 hours."""
        return None if self.usd_per_hour is None else self.usd_per_hour * HOURS_PER_MONTH

    @property
    def utilisation(self) -> float:
        """Of the capacity of all replicas at the peak; of several parts the highest."""
        return max(part.sized.utilisation for part in self.parts)

    @property
    def output_tokens_per_s(self) -> float | None:
        """At the peak."""
        return total([_times(part.sized.output_tokens, part.sized.peak_rate) for part in self.parts])

    def usd_per_mtok(self, share_of_peak: float = 1.0) -> float | None:
        """Per million output tokens while that share of the peak is served; the hours are paid in full."""
        rate, cost = self.output_tokens_per_s, self.usd_per_hour
        return None if not rate or cost is None else cost / (rate * share_of_peak * 3600 / 1e6)

    @property
    def mean_share(self) -> float | None:
        """The mean traffic as a share of the peak, where it is known."""
        peak = sum(part.sized.peak_rate for part in self.parts)
        return self.demand.mean / peak if self.demand.mean and peak else None

    @property
    def kwh_per_month(self) -> float | None:
        """At the peak all month; None where power was not measured."""
        return total([part.sized.kwh_per_month for part in self.parts])

    @property
    def promise(self) -> str:
        """What is held, in words."""
        return promise(self.criteria)

    def usd_per_replica_hour(self) -> float | None:
        """Of a single replica, without what whole nodes add; of several parts the mean."""
        return None if self.usd_per_hour is None else self.usd_per_hour / self.replicas


def total(values: Sequence[float | None]) -> float | None:
    """The sum; None as soon as one is unknown."""
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def plan(mix: Sequence[tuple[float, Measured]], demand: Demand, ask: Ask) -> Plan:
    """The plan for a demand (not yet grown) over sweeps and their shares. Raises what `capacity` raises."""
    shares = _shares(mix)
    criteria = ask.criteria()
    grown = demand.grown(ask.growth)
    parts = tuple(
        _part(share, measured, grown, ask, criteria) for share, (_, measured) in zip(shares, mix, strict=True)
    )
    even, no_even = _even(parts, grown, ask)
    return Plan(ask, grown, criteria, parts, even, no_even, _courses(parts, grown, ask), _levers(parts, ask))


def _shares(mix: Sequence[tuple[float, Measured]]) -> list[float]:
    whole = sum(share for share, _ in mix)
    if not mix or any(share <= 0 for share, _ in mix) or abs(whole - 1) > 0.01:
        told = ", ".join(f"{share:.0%}" for share, _ in mix)
        raise UsageError(f"the shares of a mix must be above 0 and add up to 100 %; these are {told}.")
    return [share / whole for share, _ in mix]


def _part(
    share: float, measured: Measured, demand: Demand, ask: Ask, criteria: tuple[Criterion, ...]
) -> Part:
    own = replace(
        demand,
        peak=demand.peak * share,
        mean=None if demand.mean is None else demand.mean * share,
        minutes=None if demand.minutes is None else demand.minutes * share,
    )
    found = capacity(measured, criteria)
    return Part(share, measured, own, found, size(found, own, ask, *_price(measured, ask)))


def _price(measured: Measured, ask: Ask) -> tuple[Price | None, str]:
    """The hourly price asked for, or that of the run."""
    if ask.price:
        price, _ = pricing.resolve(ask.price, measured.spec.endpoint, ask.config or None)
        if price is None or price.kind != "hour":
            raise UsageError(f"price '{ask.price}' is by use; replicas are paid by the hour, such as 2.50/h.")
        return price, ""
    if measured.price is None or measured.price.kind != "hour":
        return (
            None,
            "unpriced: no hourly price of a replica is known; give --price, such as h100-hour or 2.50/h",
        )
    return measured.price, ""


def _even(parts: tuple[Part, ...], demand: Demand, ask: Ask) -> tuple[BreakEven | None, str]:
    if not ask.api_price:
        return None, "no API price was given: --api-price, such as openai/gpt-5-mini"
    api, unpriced = pricing.resolve(ask.api_price, parts[0].measured.spec.endpoint, ask.config or None)
    if api is None or api.kind != "token":
        raise UsageError(
            f"API price '{ask.api_price}' is not by the token; name one such as openai/gpt-5-mini."
        )
    found = break_even(_traffic(parts, demand), api, lambda times: _own_usd(parts, ask, times))
    if found is not None:
        return found, ""
    unpriced = next((part.sized.unpriced for part in parts if part.sized.unpriced), unpriced)
    return None, unpriced or "the sweep did not report its prompt and output tokens"


def _own_usd(parts: tuple[Part, ...], ask: Ask, times: float) -> float | None:
    return total([part.usd_per_hour(ask, times) for part in parts])


def _traffic(parts: tuple[Part, ...], demand: Demand) -> Traffic:
    peak = sum(part.sized.peak_rate for part in parts)
    assumed = (
        "the mean of the traffic given" if demand.mean else "the peak all month, which is own hardware's best"
    )
    return Traffic(demand.mean or peak, _mean(parts, "prompt_tokens"), _mean(parts, "output_tokens"), assumed)


def _mean(parts: tuple[Part, ...], name: str) -> float | None:
    return total([_times(getattr(part.sized, name), part.share) for part in parts])


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _courses(parts: tuple[Part, ...], demand: Demand, ask: Ask) -> tuple[Course, ...]:
    """Of a mix, each policy is that of the parts together."""
    if demand.minutes is None:
        return ()
    return autoscale.together([_part_courses(part, ask) for part in parts], [part.share for part in parts])


def _part_courses(part: Part, ask: Ask) -> tuple[Course, ...]:
    minutes, sized = part.demand.minutes, part.sized
    assert minutes is not None
    one = autoscale.replica(part.measured, part.found, sized.per_replica * (1 - ask.headroom))
    return autoscale.courses(minutes, one, sized.replicas - sized.spare, sized.spare, ask.cold_start_s)


def _levers(parts: tuple[Part, ...], ask: Ask) -> tuple[Lever, ...]:
    """What moves the number of replicas, the strongest first."""
    more, less = min(0.95, ask.headroom + _TEN_POINTS), max(0.0, ask.headroom - _TEN_POINTS)
    rows = [
        Lever(
            "Traffic", "20 % less", _count(parts, ask, 1 - _SIDE),
            "20 % more", _count(parts, ask, 1 + _SIDE),
        ),
        Lever(
            "Headroom", f"{100 * less:.0f} %", _count(parts, replace(ask, headroom=less)),
            f"{100 * more:.0f} %", _count(parts, replace(ask, headroom=more)),
        ),
        Lever(
            "Capacity, its interval", "high end", sum(part.sized.fewest for part in parts),
            "low end", sum(part.sized.most for part in parts),
        ),
        Lever(
            "Spare", f"{max(0, ask.spare - 1)}", _count(parts, replace(ask, spare=max(0, ask.spare - 1))),
            f"{ask.spare + 1}", _count(parts, replace(ask, spare=ask.spare + 1)),
        ),
    ]  # fmt: skip
    wide, narrow = (_stretched(parts, ask, factor) for factor in (1 + _SIDE, 1 - _SIDE))
    if wide is not None and narrow is not None:
        rows.append(Lever("SLO limits", "20 % wider", wide, "20 % tighter", narrow))
    return tuple(sorted(rows, key=lambda lever: lever.low - lever.high))


def _count(parts: tuple[Part, ...], ask: Ask, times: float = 1.0) -> int:
    return sum(part.replicas(ask, times) or 0 for part in parts)


def _stretched(parts: tuple[Part, ...], ask: Ask, stretch: float) -> int | None:
    counts = [part.replicas(ask, stretch=stretch) for part in parts]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def what_to_measure(part: Part) -> str | None:
    """The command whose levels would narrow the answer; None where it is narrow enough."""
    loads = next_loads(part.found)
    return sweep_command(part.measured, loads) if loads else None


def burst_words(part: Part, gap_variation: float) -> str:
    """What bursts of this Ca² would do to the mean TTFT at the planned load: a what-if, no measurement."""
    sized = part.sized
    mean = mean_ttft_ms(part)
    factor = aids.burst_factor(gap_variation, aids.work_of(part.measured))
    if mean is None:
        return f"waits would be {factor:.2g} times those of Poisson arrivals"
    stretched = aids.burst_ttft_ms(part.measured, mean, gap_variation)
    at = f"{sized.load:.3g} {part.measured.unit} per replica"
    return f"mean TTFT at {at} would be {stretched:.0f} ms instead of {mean:.0f} ms (waits × {factor:.2g})"


def mean_ttft_ms(part: Part) -> float | None:
    """The mean TTFT (ms) at the planned load; None where it was not measured."""
    return interpolated(
        part.measured, lambda step: step.mean(lambda seen: seen.sample("ttft_planned_ms")), part.sized.load
    )
