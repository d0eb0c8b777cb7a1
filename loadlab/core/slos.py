"""Named service level objectives: what each request must keep, and how many of them must keep it.

The tables are limits in words of the metric registry. In scope: names and numbers. Out of scope: whether a
measurement keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.metrics import METRICS

_P95, _P99 = 0.95, 0.99
_PER_REQUEST = [metric.name for metric in METRICS.values() if metric.per == "request"]


@dataclass(frozen=True, slots=True)
class Slo:
    """`share` of the requests must keep every limit (per-request metric: ms); `source` in words."""

    name: str
    limits: Mapping[str, float]
    share: float
    source: str


def _mlperf(model: str, scenario: str, ttft_ms: float, tpot_ms: float) -> Slo:
    limits = {"ttft_planned_ms": ttft_ms, "tpot_ms": tpot_ms}
    return Slo(f"mlperf:{model}:{scenario}", limits, _P99, "mlperf.conf of MLCommons inference, LoadGen")


_ALL = (
    Slo("autocomplete", {"e2e_ms": 50.0}, _P95, "a suggestion later than the next key is of no use"),
    Slo("voice", {"ttft_ms": 200.0}, _P95, "a pause in speech is heard from about 200 ms on"),
    Slo("chat", {"ttft_ms": 300.0, "e2e_ms": 3000.0}, _P95, "an answer seems to begin at once"),
    Slo("search", {"ttft_ms": 1000.0}, _P95, "a second does not interrupt a thought"),
    Slo("batch", {"e2e_ms": 600_000.0}, _P95, "nobody waits; ten minutes tell a hang from work"),
    _mlperf("llama2-70b", "server", 2000, 200),
    _mlperf("llama2-70b", "interactive", 450, 40),
    _mlperf("llama3.1-8b", "server", 2000, 100),
    _mlperf("llama3.1-8b", "interactive", 500, 30),
    _mlperf("llama3.1-405b", "server", 6000, 175),
    _mlperf("llama3.1-405b", "interactive", 4500, 80),
    _mlperf("deepseek-r1", "server", 2000, 80),
    _mlperf("deepseek-r1", "interactive", 1500, 15),
    _mlperf("gpt-oss-120b", "server", 3000, 80),
    _mlperf("gpt-oss-120b", "interactive", 2000, 15),
    _mlperf("mixtral-8x7b", "server", 2000, 200),
)

SLOS = {slo.name: slo for slo in _ALL}


def slo(name: str, config: Mapping[str, Any]) -> Slo:
    """The preset of that name, [slos.<name>] of loadlab.toml before the bundled ones. Raises UsageError."""
    known = {**SLOS, **_own(config)}
    if name not in known:
        raise UnknownNameError("SLO", name, known)
    return known[name]


def _own(config: Mapping[str, Any]) -> dict[str, Slo]:
    return {name: _written(name, table) for name, table in config.get("slos", {}).items()}


def _written(name: str, table: Any) -> Slo:
    where = f"loadlab.toml: [slos.{name}]"
    if not isinstance(table, Mapping):
        raise UsageError(f"{where} must be a table, such as ttft_ms = 300 and share = 0.95.")
    share = table.get("share", _P95)
    limits = {metric: limit for metric, limit in table.items() if metric != "share"}
    for metric, limit in limits.items():
        if metric not in _PER_REQUEST:
            raise UnknownNameError(f"metric in [slos.{name}]", metric, [*_PER_REQUEST, "share"])
        _positive(f"{where} {metric}", limit)
    _positive(f"{where} share", share)
    if not limits or share >= 1:
        raise UsageError(f"{where} needs a limit such as ttft_ms = 300, and a share below 1 such as 0.95.")
    return Slo(name, {metric: float(limit) for metric, limit in limits.items()}, float(share), "loadlab.toml")


def _positive(where: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UsageError(f"{where} = {value!r} must be a number above 0.")
