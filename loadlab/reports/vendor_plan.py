"""What a vendor comparison would send, cost and take, and which gap it would find: text and plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from loadlab.analysis.tiers import gap_found
from loadlab.core.units import usd
from loadlab.vendors import Study


@dataclass(frozen=True, slots=True)
class Plan:
    """`usd` and `at_most_usd` by vendor, None where it is not billed by use; `gap` is a share, or None."""

    name: str
    vendors: int
    workloads: int
    slots: int
    days: int
    requests_per_vendor: int
    requests: int
    usd: Mapping[str, float | None]
    at_most_usd: Mapping[str, float | None]
    max_usd: float | None
    sigma: float
    slot_noise: float
    scatter: str
    gap: float | None


def plan(study: Study, scatter: tuple[float, float, str], costs: Mapping[str, Any]) -> Plan:
    """`scatter`: sigma, slot noise, and whether assumed or measured; `costs`: estimates by vendor."""
    sigma, noise, basis = scatter
    each = study.requests * len(study.workloads)
    return Plan(
        study.name, len(study.vendors), len(study.workloads), study.slots, study.days, each,
        each * len(study.vendors),
        {name: found and found.request_usd * found.requests for name, found in costs.items()},
        {name: found and found.worst_request_usd * found.requests for name, found in costs.items()},
        study.max_usd, sigma, noise, basis,
        gap_found(sigma, noise, study.prompts, study.slots, len(study.vendors)),
    )  # fmt: skip


def render(found: Plan) -> str:
    """A few lines."""
    lines = [
        f"{found.name}: {found.vendors} vendors, {found.workloads} workloads, {found.slots} slots over "
        f"{found.days} days",
        f"requests: {found.requests:,} in all, {found.requests_per_vendor:,} to each vendor, "
        "one in each run of them on a new connection",
    ]
    for name, likely in found.usd.items():
        most = found.at_most_usd[name]
        known = likely is not None and most is not None
        lines.append(
            f"  {name}: " + (f"about {usd(likely)}, at most {usd(most)}" if known else "not billed by use")
        )
    lines.append(
        f"cap for all: {usd(found.max_usd)}" if found.max_usd else "no cap for all together (max_usd)"
    )
    lines.append(_gap(found))
    return "\n".join(lines) + "\n"


def _gap(found: Plan) -> str:
    scatter = f"scatter {found.scatter}: {found.sigma:.2f} a request, {found.slot_noise:.2f} a slot"
    if found.gap is None:
        return "with fewer than 6 slots no two vendors are told apart"
    return f"two vendors {found.gap:.1%} apart are told apart with 90 % certainty ({scatter})"


def document(found: Plan) -> dict[str, Any]:
    """Plain values for JSON."""
    return asdict(found)
