"""Stored gates as pages need them: their documents, the commit each judged, their rules as rows of a figure.

Knows the documents that `loadlab gate` stores and the summaries of their runs; judges nothing anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from loadlab.analysis.comparable import Apart, apart
from loadlab.analysis.measures import Measure, parse
from loadlab.core.errors import LoadlabError, NoDataError
from loadlab.figures import RuleRow
from loadlab.gates.past import Document

from .comparing import brief
from .source import Source

SHOWN = 200
ORDER = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS", "INFO")
_SIGNED = re.compile(r"(<=|>=|<|>) (-?[\d.,]+) ?(%?)")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


def documents(source: Source, limit: int | None = SHOWN) -> list[Document]:
    """The newest gates, newest first; those of a server against itself are left out."""
    found = source.store.gates(limit)
    return [row for row in found["document"] if str(row["gate"]["id"]).startswith("gate-")]


def document(source: Source, gate_id: str) -> Document:
    """One gate by its id, "latest" or a unique beginning. Raises NoDataError."""
    known = documents(source, None)
    found = known[:1] if gate_id == "latest" else [each for each in known if _id(each).startswith(gate_id)]
    if len(found) != 1:
        raise NoDataError(f"gate '{gate_id}' is not in {source.where}; /gates lists those that are.")
    return found[0]


def _id(document: Document) -> str:
    return str(document["gate"]["id"])


def commits(source: Source, found: Sequence[Document]) -> dict[str, str]:
    """The commit that each gate's candidate was at, by the gate's id, where its run says one."""
    known = ((_id(each), commit_of(source, each)) for each in found)
    return {gate_id: commit for gate_id, commit in known if commit}


def commit_of(source: Source, document: Document) -> str | None:
    """What the candidate's run says of its commit: a label of its target, else its environment."""
    for ref in document["candidate"][:1]:
        try:
            run = source.run(ref)
        except LoadlabError:  # deleted since
            return None
        said = run.spec.endpoint.labels.get("commit") or run.environment.get("commit")
        return str(said) if said else None
    return None


def rule_rows(source: Source, document: Document) -> list[RuleRow]:
    """The rules, worst first, with what each run measured."""
    sides = {side: _summaries(source, document[side]) for side in ("base", "candidate")}
    checks = sorted(document["checks"], key=lambda check: ORDER.index(check["outcome"]))
    return [_row(check, sides) for check in checks]


def _summaries(source: Source, refs: Sequence[str]) -> list[Any]:
    found = []
    for ref in refs:
        try:
            found.append(source.summary(ref))
        except LoadlabError:  # the run was deleted since
            continue
    return [summary for summary in found if summary.levels]


def _row(check: Mapping[str, Any], sides: Mapping[str, Sequence[Any]]) -> RuleRow:
    measure = measure_of(check["rule"])
    base, candidate = (
        tuple(_values(sides[side], measure)) if measure else () for side in ("base", "candidate")
    )
    if check["kind"] in ("regress", "inform"):
        return _relative(check, measure, base, candidate)
    limit, upper = limit_of(check["limit"])
    percent = check["unit"] == "" and check["limit"].endswith("%")  # a share: goodput
    factor, unit = (100.0, "%") if percent else (1.0, check["unit"])
    low, high = (None if check[name] is None else factor * check[name] for name in ("low", "high"))
    value = None if check["value"] is None else factor * check["value"]
    return RuleRow(check["rule"], check["outcome"], unit, (), candidate, value, low, high, limit, upper)


def _relative(
    check: Mapping[str, Any], measure: Measure | None, base: tuple[float, ...], candidate: tuple[float, ...]
) -> RuleRow:
    """In the metric's own unit: the ratios of the check times the base's geometric mean."""
    unit = measure.of.unit if measure else "%"
    upper = measure is None or measure.of.better == "lower"
    positive = [value for value in base if value > 0]
    if not positive:
        return RuleRow(check["rule"], check["outcome"], unit, base, candidate)
    middle = math.exp(fmean(map(math.log, positive)))
    worse = [float(found) / 100 for found in _PERCENT.findall(check["limit"])]
    edge = (1 + worse[-1] if upper else 1 / (1 + worse[-1])) if worse else None
    value, low, high = (
        None if check[name] is None else middle * check[name] for name in ("value", "low", "high")
    )
    return RuleRow(
        check["rule"], check["outcome"], unit, base, candidate, value, low, high,
        None if edge is None else middle * edge, upper,
    )  # fmt: skip


def measure_of(rule: str) -> Measure | None:
    """The measure of "ttft_ms.p95 <= 200ms" or "ttft_ms.p50"; None where it is a share or a name."""
    try:
        return parse(re.split(r"\s*(?:<=|>=|<|>)", rule)[0])
    except LoadlabError:
        return None


def limit_of(text: str) -> tuple[float | None, bool]:
    """The number in "<= 200 ms" and whether it bounds from above."""
    found = _SIGNED.match(text)
    return (float(found[2].replace(",", "")), found[1][0] == "<") if found else (None, True)


def _values(summaries: Sequence[Any], measure: Measure) -> list[float]:
    found = (value_in(summary.levels[0], measure) for summary in summaries)
    return [value for value in found if value is not None]


def value_in(level: Any, measure: Measure) -> float | None:
    """What a level's summary says of a measure; None where it does not have it."""
    if measure.stat:
        return dict(level.metrics.get(measure.metric, {})).get(measure.stat)
    if measure.metric == "error_rate":
        sent = level.requests["sent"]
        return 100 * level.requests["failed"] / sent if sent else None
    return {**level.hardware, **level.cost, **level.rates}.get(measure.metric)


def differences(source: Source, document: Document) -> list[Apart]:
    """What differs between the first run of the base and the first of the candidate."""
    if not (document["base"] and document["candidate"]):
        return []
    try:
        return apart(brief(source, document["base"][0]), brief(source, document["candidate"][0]))
    except LoadlabError:  # one was deleted since
        return []
