"""What pages ask for: runs, summaries, curves. Knows who reads and who computes; does neither itself."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pandas as pd

from loadlab import analysis, planner
from loadlab.analysis import Summary
from loadlab.figures import Band, bands_of
from loadlab.planner import Measured
from loadlab.store import Sought

from .follow import Follower

_KEPT = 256
_TRACES = 4
_SWEEPS = 8
_MOST_GAPS = 1_000_000  # 20 MB a run


@dataclass(frozen=True, slots=True)
class Trace:
    """The rows of one run as its page draws them: requests, gaps and readings, the timeline, its levels."""

    requests: pd.DataFrame
    gaps: pd.DataFrame
    readings: pd.DataFrame
    timeline: pd.DataFrame
    bands: tuple[Band, ...]


class Source:
    """Reads a store for the pages; summaries of runs that have ended are kept, at most 256."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._summaries: OrderedDict[str, Summary] = OrderedDict()
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._followers: OrderedDict[str, Follower] = OrderedDict()
        self._sweeps: OrderedDict[tuple[str, ...], Measured] = OrderedDict()

    @property
    def where(self) -> str:
        """The store's URL with any password hidden."""
        return str(self._store.where)

    @property
    def store(self) -> Any:
        """The store itself, for what is read once and not drawn as a run."""
        return self._store

    def runs(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The newest runs, one dict each with the store's columns."""
        return [
            {str(key): row[key] for key in row} for row in self._store.runs(limit=limit).to_dict("records")
        ]

    def run(self, ref: str) -> Any:
        """The stored run that an id, a unique prefix or "latest" names. Raises NoDataError."""
        return self._store.run(ref)

    def summary(self, ref: str) -> Summary:
        """The Summary of a run. Raises NoDataError."""
        if ref in self._summaries:
            return self._summaries[ref]
        summary = analysis.summary_of(self._store, ref)
        if summary.run["state"] != "running":
            self._summaries[summary.run["id"]] = summary
            if len(self._summaries) > _KEPT:
                self._summaries.popitem(last=False)
        return summary

    def measured(self, refs: Sequence[str]) -> Measured:
        """The runs as one sweep to plan with; kept once they have ended. Raises NoDataError or UsageError."""
        runs = [self.run(ref) for ref in refs]
        key = tuple(f"{run.id} {len(self._store.pricings(run.id))}" for run in runs)
        if key in self._sweeps:
            return self._sweeps[key]
        found = planner.measured(self._store, [run.id for run in runs])
        if all(run.state != "running" for run in runs):
            self._sweeps[key] = found
            if len(self._sweeps) > _SWEEPS:
                self._sweeps.popitem(last=False)
        return found

    def priced(self, ref: str) -> Any:
        """As `run`, with the price and the terms that are in force now. Raises NoDataError."""
        stored = self.run(ref)
        return analysis.priced_at(stored, self._store.pricings(stored.id)[-1])

    def curve(self, ref: str) -> pd.DataFrame:
        """One row per measured level of a run. Raises NoDataError."""
        return analysis.curve(self.summary(ref))

    def follow(self, run_id: str) -> Follower:
        """What is known of a run under way (full id); a few are kept."""
        if run_id not in self._followers:
            self._followers[run_id] = Follower(self._store, run_id)
            if len(self._followers) > _TRACES:
                self._followers.popitem(last=False)
        return self._followers[run_id]

    def running(self) -> list[dict[str, Any]]:
        """The runs under way, the newest first."""
        found, _ = self._store.runs_page(Sought(exact={"state": "running"}), 0, 20)
        return [{str(key): row[key] for key in row} for row in found.to_dict("records")]

    def trace(self, run_id: str) -> Trace:
        """Everything a run's page draws over time; of runs that have ended the last few are kept."""
        if run_id in self._traces:
            return self._traces[run_id]
        trace = self._trace(run_id)
        if self.run(run_id).state != "running" and len(trace.gaps) <= _MOST_GAPS:
            self._traces[run_id] = trace
            if len(self._traces) > _TRACES:
                self._traces.popitem(last=False)
        return trace

    def _trace(self, run_id: str) -> Trace:
        requests, gaps = self._store.requests(run_id), self._store.gaps(run_id)
        return Trace(
            requests=requests,
            gaps=gaps,
            readings=self._store.readings(run_id),
            timeline=analysis.timeline(requests),
            bands=bands_of(self._store.levels(run_id), requests),
        )

    def check(self) -> int:
        """Reads one row: 0 for an empty store, else 1. Raises StoreError when the store cannot be read."""
        return len(self._store.runs(limit=1))


def host(url: str) -> str:
    """The host and port of an endpoint's URL, as sentences name it."""
    return urlsplit(url).netloc or url


def run_name(run: Mapping[str, Any]) -> str:
    """A run in a legend or a list: its label or scenario, its model, and enough of its id."""
    return f"{run['label'] or run['scenario']} · {run['model']} · {short_id(run['id'])}"


def distinct_names(stored: Sequence[Any]) -> list[str]:
    """A name for each stored run that says only what tells it from the others; its id always."""
    parts = [(run.spec.label or run.spec.scenario, run.spec.endpoint.model) for run in stored]
    differing = [place for place in (0, 1) if len({part[place] for part in parts}) > 1]
    return [
        " · ".join([*(part[place] for place in differing), short_id(run.id)])
        for part, run in zip(parts, stored, strict=True)
    ]


def short_id(run_id: str) -> str:
    """An id short enough for a table and still a likely unique prefix."""
    return run_id[:20]
