"""Stored runs as series: one measure of one kind of run, in order of time.

A kind is what was asked of what: scenario, model, target, hardware, load, branch. Only levels that were
judged VALID count; what gates, calibrations and comparisons of techniques made is no part of any history.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from loadlab.analysis.judged import judged
from loadlab.analysis.measures import Measure, parse
from loadlab.analysis.nouns import label
from loadlab.analysis.percentiles import Sample
from loadlab.history.markers import changes, facts

MEASURES = tuple(
    parse(name) for name in (
        "ttft_ms.p50", "ttft_ms.p95", "itl_ms.p50", "itl_ms.p99", "tpot_ms.p50", "e2e_ms.p50", "e2e_ms.p95",
        "output_tokens_per_s", "usd_per_mtok_output", "j_per_output_token",
    )
)  # fmt: skip
_NOT_HISTORY = ("gate-", "aa-", "techniques ", "calibration ")
_LENGTH = ("index", "requests", "duration_s", "warmup_s")  # how long a load lasts does not change what it is
_ASKED = ("max_tokens", "exact_length", "prompt_tokens")


@dataclass(frozen=True, slots=True)
class Kind:
    """What was asked of what. `key` names it in a URL; `about` holds what else must agree."""

    scenario: str
    model: str
    target: str
    hardware: str
    load: str
    branch: str
    about: str

    @property
    def key(self) -> str:
        """Ten hexadecimal digits, the same for the same kind at any time."""
        parts = (self.scenario, self.model, self.target, self.hardware, self.load, self.branch, self.about)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]

    @property
    def title(self) -> str:
        """For people: "chat, 8 users, tiny at local"."""
        branch = f", branch {self.branch}" if self.branch else ""
        return f"{self.scenario}, {self.load}, {self.model} at {self.target}{branch}"


@dataclass(frozen=True, slots=True)
class Point:
    """One level of one run, as history sees it: when, of which commit, and what was around it."""

    run_id: str
    level: int
    at_ns: int
    commit: str | None
    around: Mapping[str, str]


@dataclass(frozen=True)
class Series:
    """A measure of a kind: its points, values, and each run's own interval (NaN where it has none)."""

    kind: Kind
    measure: Measure
    points: tuple[Point, ...]
    values: Sample
    low: Sample
    high: Sample

    @cached_property
    def logs(self) -> Sample:
        """The logarithms, in which a change by some per cent is the same step everywhere."""
        found: Sample = np.log(self.values)
        return found

    @cached_property
    def marked(self) -> dict[int, list[str]]:
        """Where something around the run changed, and what: place of the first run that has it -> words."""
        pairs = zip(self.points, self.points[1:], strict=False)
        found = {at: changes(a.around, b.around) for at, (a, b) in enumerate(pairs, 1)}
        return {at: words for at, words in found.items() if words}


def make_missing(store: Any) -> int:
    """Makes the kept numbers of finished runs that have none yet; gives how many there were.

    `store` is what `loadlab.store.open` returns.
    """
    from loadlab.analysis import summary_of

    missing = store.statistics.missing()
    for run_id in missing:
        store.statistics.write(run_id, judged(store, summary_of(store, run_id)))
    return len(missing)


@dataclass(frozen=True, slots=True)
class History:
    """The series of a store, by kind and then by measure; `left_out`: levels that were not VALID."""

    series: tuple[Series, ...]
    left_out: int


def of_store(
    store: Any, measures: Sequence[Measure] = MEASURES, where: Mapping[str, str] | None = None
) -> History:
    """The history of a store, of all runs or of those that match `where` (columns of table `run`)."""
    levels = store.statistics.levels(where)
    names = [measure.name for measure in measures]
    numbers = store.statistics.of(names, sorted(set(levels["run_id"])) if where else None)
    by_level: dict[tuple[str, int], dict[str, tuple[float, float, float]]] = defaultdict(dict)
    columns = (numbers[name] for name in ("run_id", "level", "measure", "value", "low", "high"))
    for run_id, level, measure, *value in zip(*(column.tolist() for column in columns), strict=True):
        by_level[run_id, level][measure] = tuple(value)
    kinds: dict[Kind, list[Point]] = defaultdict(list)
    rows = [row for row in levels.to_dict("records") if not str(row["label"]).startswith(_NOT_HISTORY)]
    valid = [row for row in rows if row["verdict"] == "VALID"]
    for row in valid:
        kinds[_kind(row)].append(_point(row))
    found = (
        _series(kind, measure, points, by_level)
        for kind, points in sorted(kinds.items(), key=lambda each: each[0].title)
        for measure in measures
    )
    return History(tuple(series for series in found if series.points), len(rows) - len(valid))


def _series(
    kind: Kind,
    measure: Measure,
    points: Iterable[Point],
    by_level: Mapping[tuple[str, int], Mapping[str, tuple[float, float, float]]],
) -> Series:
    """Of the runs whose value is above 0: logarithms know no other."""
    kept = [
        (point, value) for point in points
        if (value := by_level[point.run_id, point.level].get(measure.name)) and value[0] > 0
    ]  # fmt: skip
    numbers = np.array([value for _, value in kept], np.float64).reshape(-1, 3)
    return Series(kind, measure, tuple(point for point, _ in kept), *numbers.T)


def _kind(row: Mapping[str, Any]) -> Kind:
    spec = row["spec"]
    offered = _offered(row)
    asked = {name: spec.get(name) for name in _ASKED} | {"dialect": spec["endpoint"]["dialect"]}
    shape = {name: value for name, value in offered.items() if name not in _LENGTH and value is not None}
    return Kind(
        row["scenario"], row["model"], row["target"], row["hardware"], label(offered),
        row["environment"].get("branch", ""), json.dumps({**asked, **shape}, sort_keys=True),
    )  # fmt: skip


def _offered(row: Mapping[str, Any]) -> dict[str, Any]:
    """The level as it was asked for."""
    asked = [level for level in row["spec"]["levels"] if level["index"] == row["level"]]
    return dict(asked[0]) if asked else {"arrivals": row["arrivals"]}


def _point(row: Mapping[str, Any]) -> Point:
    return Point(row["run_id"], row["level"], row["started_at_ns"], _commit(row), facts(row))


def _commit(row: Mapping[str, Any]) -> str | None:
    """Of what was served: as the run was told, else a label of its target."""
    said = row["environment"].get("commit") or row["spec"]["endpoint"]["labels"].get("commit")
    return str(said) if said else None
