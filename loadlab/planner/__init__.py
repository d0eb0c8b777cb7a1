"""From a measured sweep to replicas, GPUs, nodes and money for a peak or a day of traffic under an SLO.

In scope: sizing by what was measured, with its interval; what-ifs beside it. Out of scope: any load above the
highest that was measured, drawing, SQL.
"""

from __future__ import annotations

from loadlab.planner.answer import Part, Plan, plan
from loadlab.planner.ask import Ask
from loadlab.planner.capacity import Capacity, capacity
from loadlab.planner.criteria import Criterion, slo_criteria
from loadlab.planner.demand import Demand
from loadlab.planner.measured import Measured, Step, measured

__all__ = [
    "Ask",
    "Capacity",
    "Criterion",
    "Demand",
    "Measured",
    "Part",
    "Plan",
    "Step",
    "capacity",
    "measured",
    "plan",
    "slo_criteria",
]
