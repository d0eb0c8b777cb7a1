"""`[gate]` of loadlab.toml, read and checked: every key, name and number, before anything is sent.

[gate]
scenario = "chat"
target = "candidate"                     # and base = "main", or commands that start the servers
users = 4
requests = 1000
slo = ["chat", "ttft_ms.p99 <= 800ms", "error_rate < 1%"]
regress = ["ttft_ms.p50", {metric = "tpot_ms.p95", tolerance = "3%", margin = "10%"}]
inform = ["*"]
on_inconclusive = "fail"                 # or "pass", or "extend:2"
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from loadlab.analysis.measures import Measure
from loadlab.analysis.measures import parse as measure_of
from loadlab.core import slos
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.units import parse_duration, parse_share

TOLERANCE, MARGIN = 0.03, 0.10
MOST_PRIMARY = 3
MOST_EXTENSIONS = 2
PAIRS = 6

_RULE = re.compile(r"\s*(?P<what>[\w.()]+|goodput\([^)]*\))\s*(?P<sign><=|>=|<|>)\s*(?P<value>\S.*?)\s*")
_GOODPUT = re.compile(r"goodput\((?P<slo>[^)]*)\)")
_UNITS = {"ms": {"ms": 1.0, "s": 1000.0}, "%": {"%": 1.0}}
Sign = Literal["<=", ">=", "<", ">"]


@dataclass(frozen=True, slots=True)
class SloRule:
    """`measure` or the goodput under `slo` must keep `limit` (in the metric's unit; goodput: a share).

    With `abort_on_fail` a run that is sure to break it is ended, from `delay_s` after its start on.
    """

    text: str
    measure: Measure | None
    slo: slos.Slo | None
    sign: Sign
    limit: float
    abort_on_fail: bool = False
    delay_s: float = 0.0

    @property
    def key(self) -> tuple[str, str]:
        """Two rules of one key contradict or repeat each other."""
        return (self.measure.name if self.measure else f"goodput({self.slo.name if self.slo else ''})",
                self.sign[0])  # fmt: skip


@dataclass(frozen=True, slots=True)
class RegressRule:
    """The candidate's measure may not be worse than the base's by more than `tolerance` for sure.

    It passes once it is sure to be worse by less than `margin`.
    """

    measure: Measure
    tolerance: float = TOLERANCE
    margin: float = MARGIN


@dataclass(frozen=True, slots=True)
class Gate:
    """What to measure and what to demand of it. Without base or commands, regress is against a baseline."""

    slo: tuple[SloRule, ...] = ()
    regress: tuple[RegressRule, ...] = ()
    inform: tuple[Measure, ...] = ()
    scenario: str = "chat"
    target: str | None = None
    base: str | None = None
    base_command: str | None = None
    candidate_command: str | None = None
    together: bool = True
    start_timeout: str = "300s"
    baseline: str | None = None
    pairs: int = PAIRS
    runs: int = 1
    users: int | None = None
    rate: float | None = None
    requests: int | None = None
    duration: str | None = None
    warmup: str = "0s"
    max_tokens: int | None = None
    max_cost: float | None = None
    exact_length: bool = False
    model: str | None = None
    seed: int = 1
    vary: tuple[str, ...] = ()
    on_inconclusive: Literal["fail", "pass", "extend"] = "fail"
    extensions: int = 0

    @property
    def paired(self) -> bool:
        """Whether base and candidate are measured in turn."""
        return bool(self.base or self.base_command)


_TYPES: dict[str, tuple[type[Any], ...]] = {
    "scenario": (str,), "target": (str,), "base": (str,), "base_command": (str,),
    "candidate_command": (str,), "together": (bool,), "start_timeout": (str,), "baseline": (str,),
    "pairs": (int,), "runs": (int,), "users": (int,), "rate": (int, float), "requests": (int,),
    "duration": (str,), "warmup": (str,), "max_tokens": (int,), "max_cost": (int, float),
    "exact_length": (bool,), "model": (str,), "seed": (int,),
}  # fmt: skip
_POSITIVE = ("pairs", "runs", "users", "rate", "requests", "max_tokens", "max_cost")
_KEYS = tuple(field.name for field in fields(Gate) if field.name != "extensions")
_WHERE = "loadlab.toml: [gate]"


def parse(config: Mapping[str, Any]) -> Gate:
    """The gate of a parsed loadlab.toml. Raises UsageError, with the nearest name for an unknown one."""
    table = config.get("gate")
    if not isinstance(table, Mapping):
        raise UsageError("loadlab.toml has no table [gate]; docs/gates.md shows one to begin with.")
    for key in table:
        if key not in _KEYS:
            raise UnknownNameError("key of [gate] in loadlab.toml", str(key), _KEYS)
    plain = {key: _typed(key, table[key]) for key in _TYPES if key in table}
    action, extensions = _inconclusive(table.get("on_inconclusive", "fail"))
    gate = Gate(
        slo=slo_rules(_list(table, "slo"), config),
        regress=regress_rules(_list(table, "regress")),
        inform=_inform(_list(table, "inform")),
        vary=tuple(_list(table, "vary")),
        on_inconclusive=action,
        extensions=extensions,
        **plain,
    )
    return _sound(gate)


def _typed(key: str, value: Any) -> Any:
    kinds = _TYPES[key]
    if type(value) not in kinds:
        raise UsageError(f"{_WHERE} {key} = {value!r} must be a {' or '.join(k.__name__ for k in kinds)}.")
    if key in _POSITIVE and not 0 < value < math.inf:
        raise UsageError(f"{_WHERE} {key} = {value} must be more than 0 and finite.")
    if key in ("duration", "warmup", "start_timeout"):
        parse_duration(value)
    return value


def _list(table: Mapping[str, Any], key: str) -> list[Any]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise UsageError(f'{_WHERE} {key} must be a list, such as {key} = ["ttft_ms.p95"].')
    return value


def _sound(gate: Gate) -> Gate:
    """The gate again, where its keys go together. Raises UsageError."""
    if not (gate.slo or gate.regress):
        raise UsageError(f"{_WHERE} demands nothing: give slo or regress rules.")
    if gate.base and gate.base_command:
        raise UsageError(f"{_WHERE} base and base_command exclude each other: each says what the base is.")
    if gate.target and gate.candidate_command:
        raise UsageError(f"{_WHERE} target and candidate_command exclude each other.")
    if gate.base_command and not (gate.candidate_command or gate.target):
        raise UsageError(f"{_WHERE} base_command needs a candidate_command or a target beside it.")
    if gate.paired and gate.baseline:
        raise UsageError(f"{_WHERE} baseline goes without base: stored runs, or pairs measured now.")
    if gate.users and gate.rate:
        raise UsageError(f"{_WHERE} users and rate exclude each other: each says how much load there is.")
    return gate


def _inconclusive(text: Any) -> tuple[Literal["fail", "pass", "extend"], int]:
    action, _, count = str(text).partition(":")
    if action in ("fail", "pass") and not count:
        return action, 0  # type: ignore[return-value]
    if action == "extend" and count in ("", *(str(n) for n in range(1, MOST_EXTENSIONS + 1))):
        return "extend", int(count or 1)
    raise UsageError(f"{_WHERE} on_inconclusive = {text!r} must be fail, pass, extend:1 or extend:2.")


def slo_rules(written: Iterable[Any], config: Mapping[str, Any]) -> tuple[SloRule, ...]:
    """Rules such as "ttft_ms.p99 <= 800ms", "goodput(chat) >= 99%", or the name of an SLO."""
    found: dict[tuple[str, str], SloRule] = {}
    for entry in written:
        rule = _slo_rule(entry, config)
        if rule.key in found:
            raise UsageError(f"{_WHERE} slo has '{found[rule.key].text}' and '{rule.text}': say it once.")
        found[rule.key] = rule
    return tuple(found.values())


def _slo_rule(entry: Any, config: Mapping[str, Any]) -> SloRule:
    options = entry if isinstance(entry, Mapping) else {"rule": entry}
    for key in options:
        if key not in ("rule", "abort_on_fail", "delay"):
            raise UnknownNameError("key of a rule in [gate] slo", key, ("rule", "abort_on_fail", "delay"))
    text, abort = str(options.get("rule", "")), options.get("abort_on_fail", False)
    if not isinstance(abort, bool):
        raise UsageError(f"{_WHERE} slo '{text}': abort_on_fail = {abort!r} must be true or false.")
    delay_s = parse_duration(str(options.get("delay", "0s")))
    match = _RULE.fullmatch(text)
    if not match:
        if any(sign in text for sign in "<>="):
            raise UsageError(f"{_WHERE} slo '{text}' is not understood; write it like ttft_ms.p99 <= 800ms.")
        slo = slos.slo(text.strip(), config)
        return SloRule(text, None, slo, ">=", slo.share, abort, delay_s)
    sign: Any = match["sign"]
    if goodput := _GOODPUT.fullmatch(match["what"]):
        slo = slos.slo(goodput["slo"].strip(), config)
        return SloRule(text, None, slo, sign, parse_share(match["value"]), abort, delay_s)
    measure = measure_of(match["what"])
    _toward(text, measure, sign)
    return SloRule(text, measure, None, sign, _limit(text, measure, match["value"]), abort, delay_s)


def _toward(text: str, measure: Measure, sign: Sign) -> None:
    """A limit on the wrong side is a slip: it would pass the worst result."""
    wrong = {"lower": ">", "higher": "<"}.get(measure.of.better)
    if sign[0] == wrong:
        raise UsageError(
            f"{_WHERE} slo '{text}': of {measure.metric} {measure.of.better} is better; turn the sign round."
        )


def _limit(text: str, measure: Measure, value: str) -> float:
    found = re.fullmatch(r"([\d.,_]+?)\s*([a-zA-Z%/$]*)", value)
    units = {"": 1.0, measure.of.unit: 1.0, **_UNITS.get(measure.of.unit, {})}
    try:
        if found and found[2] in units:
            return float(found[1].replace(",", "").replace("_", "")) * units[found[2]]
    except ValueError:
        pass
    known = ", ".join(unit for unit in units if unit)
    raise UsageError(f"{_WHERE} slo '{text}': '{value}' is no number in {known}.")


def regress_rules(written: Iterable[Any]) -> tuple[RegressRule, ...]:
    """Rules such as "ttft_ms.p50" or {metric = "tpot_ms.p95", tolerance = "3%", margin = "10%"}."""
    found: dict[str, RegressRule] = {}
    for entry in written:
        rule = _regress_rule(entry if isinstance(entry, Mapping) else {"metric": entry})
        if rule.measure.name in found:
            raise UsageError(f"{_WHERE} regress names {rule.measure.name} twice: say it once.")
        found[rule.measure.name] = rule
    if len(found) > MOST_PRIMARY:
        raise UsageError(
            f"{_WHERE} regress has {len(found)} rules, at most {MOST_PRIMARY} can block: each further one "
            "makes all of them less sharp. Put the rest into inform."
        )
    return tuple(found.values())


def _regress_rule(table: Mapping[str, Any]) -> RegressRule:
    for key in table:
        if key not in ("metric", "tolerance", "margin"):
            raise UnknownNameError("key of a rule in [gate] regress", key, ("metric", "tolerance", "margin"))
    measure = measure_of(str(table.get("metric", "")))
    if measure.of.better == "neither":
        raise UsageError(f"{_WHERE} regress: of {measure.metric} neither direction is better; inform of it.")
    tolerance, margin = (
        parse_share(table.get(key, usual)) for key, usual in (("tolerance", TOLERANCE), ("margin", MARGIN))
    )
    if tolerance >= margin:
        raise UsageError(
            f"{_WHERE} regress {measure.name}: tolerance {tolerance:.0%} must be below margin {margin:.0%}."
        )
    return RegressRule(measure, tolerance, margin)


def _inform(written: Iterable[Any]) -> tuple[Measure, ...]:
    from loadlab.analysis.compare import MEASURES

    names = list(written)
    chosen = [each for name in names for each in (MEASURES if name == "*" else (measure_of(str(name)),))]
    return tuple({each.name: each for each in chosen}.values())
