"""What the capacity page is asked, as its URL says it: sweeps, traffic, SLO, margins, prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from loadlab.core.errors import UsageError
from loadlab.core.units import parse_duration
from loadlab.planner import Ask, Demand, Measured
from loadlab.planner.criteria import USUAL
from loadlab.planner.demand import of_day, of_peak

from . import url

EXAMPLE, NO_DAY = "example", "none"
# Shares of the peak by hour of a working day: an example until the reader's own rates are there.
_HOURS = (
    0.30, 0.25, 0.22, 0.20, 0.20, 0.24, 0.34, 0.52, 0.76, 0.92, 0.98, 1.00,
    0.96, 0.97, 0.99, 0.97, 0.93, 0.86, 0.78, 0.72, 0.66, 0.57, 0.46, 0.37,
)  # fmt: skip
_TIMES = 5.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Values as they are typed; None is "as the page thinks". Percentages are whole numbers."""

    runs: tuple[str, ...] = ()
    peak: float | None = None
    unit: str = ""
    slo: str = ""
    headroom: float = 20.0
    spare: int = 1
    growth: float = 0.0
    price: str = ""
    api: str = ""
    node: int | None = None
    gpus: int | None = None
    cold: str = "5m"
    day: str = EXAMPLE

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Choice:
        """The choice of a query. Raises UsageError for a number that is none."""
        usual = cls()
        return cls(
            runs=tuple(url.names(query.get("runs"))),
            peak=_number(query, "peak"),
            unit=query.get("unit", ""),
            slo=query.get("slo", ""),
            headroom=_number(query, "headroom") if "headroom" in query else usual.headroom,  # type: ignore[arg-type]
            spare=_count(query, "spare", usual.spare) or 0,
            growth=_number(query, "growth") or 0.0,
            price=query.get("price", ""),
            api=query.get("api", ""),
            node=_count(query, "node", None),
            gpus=_count(query, "gpus", None),
            cold=query.get("cold", usual.cold),
            day=query.get("day", usual.day),
        )

    @property
    def search(self) -> str:
        """The query string that `read` turns back into this choice; what is usual is left out."""
        usual = Choice()
        texts = {
            "runs": ",".join(self.runs), "peak": _text(self.peak), "unit": self.unit, "slo": self.slo,
            "headroom": _text(self.headroom), "spare": _text(self.spare), "growth": _text(self.growth),
            "price": self.price, "api": self.api, "node": _text(self.node), "gpus": _text(self.gpus),
            "cold": self.cold, "day": self.day,
        }  # fmt: skip
        return url.write(
            {name: text for name, text in texts.items() if getattr(self, name) != getattr(usual, name)}
        )

    def changed(self, runs: Sequence[str], **controls: Any) -> Choice:
        """The choice after the controls say this; an emptied number is as the page thinks."""
        known: dict[str, Any] = {
            name: None if value == "" and name in ("peak", "node", "gpus") else value
            for name, value in controls.items()
        }
        for name, kind in (("headroom", float), ("growth", float), ("spare", int)):
            known[name] = kind(known[name] or 0)
        known["day"] = (known["day"] or "").strip() or NO_DAY
        return replace(self, runs=tuple(runs), **known)

    def ask(self, measured: Measured, config: Mapping[str, Any]) -> Ask:
        """What the planner is asked. Raises UsageError."""
        return Ask(
            slo=self.slo or own_slo(measured),
            headroom=self.headroom / 100,
            spare=self.spare,
            growth=self.growth / 100,
            gpus_per_replica=self.gpus,
            gpus_per_node=self.node,
            price=self.price or None,
            api_price=self.api or None,
            cold_start_s=parse_duration(self.cold or "0s"),
            config=config,
        )

    def demand(self, measured: Measured) -> Demand:
        """The traffic: the day of one's own, else the peak with the example's shape. Raises UsageError."""
        if self.day not in (EXAMPLE, NO_DAY):
            return of_day(_rates(self.day))
        unit = self.unit or measured.unit
        if unit not in ("req/s", "users"):
            raise UsageError(f"unit '{unit}' is not known; it is req/s or users.")
        peak = of_peak(self.peak or usual_peak(measured, unit), "users" if unit == "users" else "req/s")
        return peak if self.day == NO_DAY or unit == "users" else _example(peak)


def own_slo(measured: Measured) -> str:
    """What the run was asked to keep, else the usual."""
    own = measured.spec.terms.slo
    return ",".join(f"{metric}={limit:g}" for metric, limit in own.items()) or USUAL


def usual_peak(measured: Measured, unit: str) -> float:
    """Five times what one replica was seen to do: a start, to be replaced by the reader's own."""
    step = measured.stable[-1] if measured.stable else measured.steps[-1]
    one = step.load if unit == measured.unit else step.rate if unit == "req/s" else max(1.0, step.in_flight)
    return max(1.0, float(f"{_TIMES * one:.1g}"))


def _example(peak: Demand) -> Demand:
    hours = np.repeat(np.array(_HOURS) * peak.peak, 60)
    return replace(peak, mean=float(hours.mean()), minutes=hours, bin_minutes=60)


def _rates(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(";", ",").replace("\n", ",").split(",") if part.strip()]
    except ValueError as error:
        raise UsageError(
            f"the day '{text[:60]}' is not understood; write 24 rates such as 2,1,1,3."
        ) from error


def _number(query: Mapping[str, str], name: str) -> float | None:
    text = query.get(name)
    try:
        return float(text) if text else None
    except ValueError as error:
        raise UsageError(f"{name} '{text}' is no number.") from error


def _count(query: Mapping[str, str], name: str, usual: int | None) -> int | None:
    found = _number(query, name)
    if found is None:
        return usual
    if found != int(found):
        raise UsageError(f"{name} '{found:g}' must be a whole number.")
    return int(found)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"
