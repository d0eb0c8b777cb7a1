"""What a column of a frame is called: label, unit and better-direction, read from the metric registry.

Knows the few columns that are not metrics (offered load, pace per user); refuses to invent any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from loadlab.core import units
from loadlab.core.errors import UnknownNameError
from loadlab.core.metrics import METRICS, Metric

STATISTICS = ("mean", "p50", "p90", "p95", "p99", "max")
Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True, slots=True)
class Axis:
    """One plottable column with the words that stand beside it; `brief` is the label inside sentences."""

    column: str
    label: str
    unit: str
    better: Better
    brief: str

    @property
    def short(self) -> str:
        """Label and unit, for table heads and pickers."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    @property
    def title(self) -> str:
        """Label, unit and direction, for axes."""
        return self.short if self.better == "neither" else f"{self.short}, {self.better} is better"

    @property
    def wrapped(self) -> str:
        """The title in two lines where one would not fit beside an upright axis."""
        return self.title if len(self.title) <= 44 else self.title.replace(" (", "<br>(", 1)

    def text(self, value: float | None) -> str:
        """The value for people: "412 ms", "12.3 s", "$0.61", "–" when unknown."""
        return quantity(value, self.unit)


SCALES = ("auto", "linear", "log")
_OWN = (
    Axis("output_tokens_per_s_per_gpu", "Output throughput per GPU", "tok/s/GPU", "higher", "output per GPU"),
    Axis("goodput_per_s", "Goodput, requests within the SLO", "1/s", "higher", "goodput"),
    Axis("interactivity_tok_s", "Pace per user", "tok/s", "higher", "pace per user"),
    Axis("users", "Concurrent users", "", "neither", "users"),
    Axis("rate", "Offered rate", "1/s", "neither", "offered rate"),
)
_BRIEF = {"ttft_ms": "TTFT", "itl_ms": "ITL", "tpot_ms": "TPOT", "e2e_ms": "end-to-end"}
_AXES = {axis.column: axis for axis in _OWN}

X_CHOICES = ("ttft_ms_p95", "interactivity_tok_s", "itl_ms_p95", "tpot_ms_p95", "e2e_ms_p95", "users")
Y_CHOICES = (
    "output_tokens_per_s", "output_tokens_per_s_per_gpu", "total_tokens_per_s", "goodput_per_s",
    "requests_per_s", "usd_per_mtok_output",
)  # fmt: skip
LATENCIES = tuple(metric.name for metric in METRICS.values() if metric.per != "level")


def axis_of(metric: Metric) -> Axis:
    """The axis of a metric that is none of the registry's."""
    return Axis(metric.name, metric.label, metric.unit, metric.better, _brief(metric))


def axis(column: str) -> Axis:
    """The axis of a column such as "ttft_ms_p95". Raises UnknownNameError with the nearest column."""
    if column in METRICS:
        return axis_of(METRICS[column])
    if column in _AXES:
        return _AXES[column]
    name, _, statistic = column.rpartition("_")
    if name not in METRICS or statistic not in STATISTICS:
        raise UnknownNameError("axis", column, {*X_CHOICES, *Y_CHOICES})
    metric = METRICS[name]
    words = (f"{metric.label} {statistic}", f"{_brief(metric)} {statistic}")
    return Axis(column, words[0], metric.unit, metric.better, words[1])


def _brief(metric: Metric) -> str:
    return _BRIEF.get(metric.name, metric.label[0].lower() + metric.label[1:])


def quantity(value: float | None, unit: str) -> str:
    """A number with its unit: milliseconds below 10 s, seconds above; money with a dollar sign."""
    if value is None or math.isnan(value):
        return "–"
    if unit.startswith("USD"):
        return units.usd(value) + unit.removeprefix("USD")
    if unit == "ms" and value >= 10_000:
        return f"{units.number(value / 1000)} s"
    if unit == "1/s":
        return f"{units.number(value)}/s"
    return f"{units.number(value)} {unit}".rstrip()


def scale(values: Iterable[float], kind: str = SCALES[0]) -> dict[str, Any]:
    """Plotly axis settings for the values: from zero, or logarithmic once they span a factor of ten.

    `kind` of SCALES decides that instead; what is not above zero has no logarithm and stays linear.
    """
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    if low > 0 and (kind == "log" or (kind == "auto" and high / low >= 10)):
        return _log_scale(low / 1.5, high * 1.5)
    return {"type": "linear", "range": [0, (high or 1) * 1.15], "tickformat": ","}


def _log_scale(low: float, high: float) -> dict[str, Any]:
    # plotly's own labels between the decades are bare digits ("2", "5"), read by most as values.
    ticks = [
        digit * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for digit in (1, 2, 5)
    ]
    shown = [tick for tick in ticks if low <= tick <= high]
    return {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": shown,
        "ticktext": [units.number(tick, 1) for tick in shown],
    }


def bounds(settings: dict[str, Any]) -> tuple[float, float]:
    """The (low, high) ends of a scale in data units, for shapes that reach the edge of the plot."""
    low, high = settings["range"]
    return (10.0**low, 10.0**high) if settings["type"] == "log" else (low, high)
