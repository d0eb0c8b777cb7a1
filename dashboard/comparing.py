"""Runs side by side: which load of each is compared, and what analysis says of them. Draws nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.compare import MEASURES, Comparison, between_runs, compare
from loadlab.analysis.measures import Observed
from loadlab.analysis.samples import column, flag
from loadlab.core.errors import NoDataError
from loadlab.figures import MAX_SERIES
from loadlab.store import Sought

from .source import Source, distinct_names

OFFERED_RUNS = 100
NEWEST = 25
FEW_REQUESTS = 20_000  # of earlier runs, read for their scatter while somebody waits


@dataclass(frozen=True, slots=True)
class Sides:
    """Runs at one load: by name, the base first; `lacking` are the runs that did not have that load."""

    load: str
    loads: tuple[str, ...]
    observed: Mapping[str, Observed]
    lacking: tuple[str, ...]


def sides(source: Source, refs: Sequence[str], load: str | None) -> Sides:
    """The runs at the load asked for; without one at the highest that all have. Raises NoDataError."""
    summaries = {source.summary(ref).run["id"]: source.summary(ref) for ref in refs[:MAX_SERIES]}
    names = dict(zip(summaries, distinct_names([source.run(ref) for ref in summaries]), strict=True))
    shared = _shared(list(summaries.values()))
    every = tuple(dict.fromkeys(level.label for each in summaries.values() for level in each.levels))
    chosen = load if load in every else (shared[-1] if shared else (every[-1] if every else ""))
    found, lacking = {}, []
    for ref, summary in summaries.items():
        level = next((level for level in summary.levels if level.label == chosen), None)
        if level is None:
            lacking.append(names[ref])
        else:
            found[names[ref]] = _observed(source, summary, level)
    return Sides(chosen, every, found, tuple(lacking))


def _shared(summaries: Sequence[Any]) -> list[str]:
    """The loads that every run has, lightest first as the first run has them."""
    if not summaries:
        return []
    others = [{level.label for level in each.levels} for each in summaries[1:]]
    return [level.label for level in summaries[0].levels if all(level.label in each for each in others)]


def _observed(source: Source, summary: Any, level: Any) -> Observed:
    run = summary.run["id"]
    requests, gaps = source.store.requests(run, level.index), source.store.gaps(run, level.index)
    counted = flag(gaps, "ok") & ~flag(gaps, "warmup")
    return Observed(
        summary,
        level,
        requests[~flag(requests, "warmup")],
        column(gaps[counted], "itl_ms"),
        source.run(run).environment,
    )


def comparisons(source: Source, found: Sides, vary: Sequence[str]) -> dict[str, Comparison]:
    """Each other run against the first, by name."""
    (_, base), *others = found.observed.items()
    earlier = _earlier(source, base, [run.id for run in found.observed.values()])
    return {name: compare([base], [other], MEASURES, earlier, vary=vary) for name, other in others}


@dataclass(frozen=True, slots=True)
class _Few:
    """Some runs of a store, for who asks a store for its runs."""

    found: pd.DataFrame

    def runs(self) -> pd.DataFrame:
        """Those runs."""
        return self.found


def _earlier(source: Source, base: Observed, but: Sequence[str]) -> Any:
    """The scatter between earlier runs of the kind, where reading them does not take long."""
    spec = base.summary.spec
    alike = Sought(exact={"scenario": spec.scenario, "model": spec.endpoint.model})
    found, _ = source.store.runs_page(alike, 0, NEWEST)
    found = found[found["n_levels"] == 1]
    if found.empty or found["n_requests"].sum() > FEW_REQUESTS:
        return {}
    return between_runs(_Few(found), base, MEASURES, but, of=lambda _, ref: brief(source, ref))


def brief(source: Source, ref: str) -> Observed:
    """The first level of a run by its summary alone: what was asked of whom, and what came out."""
    summary = source.summary(ref)
    if not summary.levels:
        raise NoDataError(f"run {ref} has no level: nothing was measured.")
    none = pd.DataFrame()
    return Observed(summary, summary.levels[0], none, np.array([]), source.run(ref).environment)


def usual_pair(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The newest run with an earlier one of the same scenario, model and target: the earlier one first."""
    newest: dict[tuple[Any, ...], str] = {}
    for run in runs:
        if run["state"] != "finished" or not run["n_requests"] or run["verdict"] == "INVALID":
            continue
        kind = (run["scenario"], run["model"], run["target"], run["n_levels"])
        if kind in newest:
            return [run["id"], newest[kind]]
        newest[kind] = run["id"]
    return []
