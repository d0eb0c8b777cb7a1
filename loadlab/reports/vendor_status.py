"""How far a vendor comparison is: as text and as plain values."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from loadlab.analysis.vendor_spend import spent_usd
from loadlab.core.units import NS_PER_S, usd
from loadlab.vendors import Study, due_ns


def status(store: Any, study: Study) -> dict[str, Any]:
    """Slots done and begun, states by vendor, USD spent, and when (UTC ns) the next slot is due."""
    slots = store.vendor_slots(study.name)
    kept = slots[slots["state"] != "stale"]
    wanted = len(study.vendors) * len(study.workloads)
    whole = [slot for slot, rows in kept.groupby("slot") if len(rows) >= wanted]
    due = None
    if len(whole) < study.slots:
        began = int(slots["began_at_ns"].min()) if len(slots) else time.time_ns()
        last = int(kept[kept["slot"] == kept["slot"].max()]["began_at_ns"].min()) if len(kept) else None
        due = due_ns(study, began, last, time.time_ns())
    return {
        "slots": study.slots,
        "done": len(whole),
        "begun": int(kept["slot"].nunique()),
        "vendors": {vendor.name: _states(slots, vendor.name) for vendor in study.vendors},
        "spent_usd": spent_usd(store, study.name),
        "due_ns": due,
    }


def _states(slots: Any, vendor: str) -> dict[str, int]:
    counts = slots[slots["vendor"] == vendor]["state"].value_counts()
    return {str(state): int(n) for state, n in counts.items()}


def document(study: Study, found: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values for JSON."""
    return {"name": study.name, **{key: value for key, value in found.items() if key != "due_ns"},
            "due_at": _iso(found["due_ns"])}  # fmt: skip


def _iso(at_ns: int | None) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // NS_PER_S, UTC).isoformat()


def render(study: Study, found: Mapping[str, Any]) -> str:
    """A few lines."""
    lines = [f"{study.name}: {found['done']} of {found['slots']} slots done"]
    for name, states in found["vendors"].items():
        told = ", ".join(f"{n} {state}" for state, n in states.items()) or "not measured yet"
        lines.append(f"  {name}: {told}; {usd(found['spent_usd'].get(name, 0.0))} spent")
    due = found["due_ns"]
    lines.append(f"next slot due {_iso(due)}" if due else f"loadlab report vendor {study.name}")
    return "\n".join(lines) + "\n"
