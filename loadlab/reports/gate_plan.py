"""What a gate costs and finds: the plan as text and as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from loadlab.core.units import usd
from loadlab.gates.planning import POWER, RUN_SD, Plan
from loadlab.reports.text import labelled


def render(wanted: float, found: Plan | None, now: Plan, run_sds: Mapping[str, float], pilot: str) -> str:
    """The gate as it is, then the quickest one that finds what is wanted, and what `pilot` leaves open."""
    lines = labelled("now", _words(now))
    if found is None:
        lines += labelled(
            "wanted", f"+{wanted:.0%}: no plan of at most 20 pairs finds it; runs differ too much"
        )
    else:
        lines += labelled("wanted", f"+{wanted:.0%}: {_words(found)}")
        lines += labelled("", f"pairs = {found.pairs}, requests = {found.requests} in [gate]")
    unknown = [name for name in now.finds if name not in run_sds]
    if unknown:
        lines += labelled(
            "assumed", f"runs differ by {RUN_SD:.1%} in {', '.join(unknown)}: too few earlier ones"
        )
    lines += labelled("pilot", pilot)
    return "\n".join(lines) + "\n"


def _words(plan: Plan) -> str:
    finds = ", ".join(f"{name} +{size:.1%}" for name, size in plan.finds.items())
    return (
        f"{plan.pairs} pairs of {plan.requests:,} requests find with {POWER:.0%} certainty: {finds}; "
        f"{plan.minutes:.1f} minutes, {usd(plan.usd)}"
    )


def document(wanted: float, found: Plan | None, now: Plan) -> dict[str, Any]:
    """Plain values; `plan` is None where nothing within reach finds what is wanted."""
    return {"wanted": wanted, "power": POWER, "now": asdict(now), "plan": asdict(found) if found else None}
