"""The stable JSON document of a run. Keys are added, never renamed or removed, within one schema number."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from loadlab.analysis.nouns import LevelSummary, Summary
from loadlab.analysis.percentiles import LEVELS, wanted

SCHEMA = 1


def document(summary: Summary) -> dict[str, Any]:
    """The Summary as plain values; a number that is not known is None."""
    return {
        "schema": SCHEMA,
        "run": _run(summary),
        "levels": [_level(level) for level in summary.levels],
        "notes": list(summary.notes),
        "batch": None if summary.batch is None else dict(summary.batch),
    }


def render(summary: Summary) -> str:
    """The document as indented JSON. NaN has no place in it."""
    return json.dumps(document(summary), indent=2, allow_nan=False) + "\n"


def _run(summary: Summary) -> dict[str, Any]:
    run, spec = summary.run, summary.spec
    finished_at_ns = run["finished_at_ns"]
    return {
        "id": run["id"],
        "verdict": run["verdict"],
        "reasons": list(run["reasons"]),
        "state": run["state"],
        "scenario": spec.scenario,
        "target": spec.endpoint.name,
        "url": spec.endpoint.url,
        "model": spec.endpoint.model,
        "seed": spec.seed,
        "started_at": _iso(run["started_at_ns"]),
        "finished_at": None if finished_at_ns is None else _iso(finished_at_ns),
    }


def _iso(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")


def few_samples(level: LevelSummary) -> dict[str, list[str]]:
    """By metric the percentiles beyond which fewer than ten values lie: a handful decides them."""
    few = {
        name: [percentile for percentile, p in LEVELS.items() if 0 < (stats["n"] or 0) < wanted(p)]
        for name, stats in level.metrics.items()
    }
    return {name: percentiles for name, percentiles in few.items() if percentiles}


def _level(level: LevelSummary) -> dict[str, Any]:
    return {
        "level": level.index,
        "offered": dict(level.offered),
        "repeat": level.repeat,
        "ended": level.ended,
        "requests": dict(level.requests),
        "metrics": {name: dict(stats) for name, stats in level.metrics.items()},
        "few_samples": few_samples(level),
        "rates": dict(level.rates),
        "cost": dict(level.cost),
        "lengths": dict(level.lengths),
        "accuracy": dict(level.accuracy),
        "hardware": dict(level.hardware),
        "window_s": level.window_s,
        "verdict": level.verdict,
        "reasons": list(level.reasons),
    }
