"""What is stored, in the words of other systems: a Prometheus page, OpenTelemetry's GenAI metrics.

In scope: names, units and labels of others. Out of scope: computing; every number comes from analysis.
"""

from __future__ import annotations

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.metrics import METRICS


def level_values(level: LevelSummary) -> dict[str, float]:
    """The level metrics of the registry that are known, by name."""
    sent = level.requests["sent"]
    errors = {"error_rate": 100 * level.requests["failed"] / sent if sent else None}
    known = {**errors, **level.rates, **level.cost, **level.hardware}
    names = (name for name, metric in METRICS.items() if metric.per == "level")
    return {name: float(known[name]) for name in names if known.get(name) is not None}
