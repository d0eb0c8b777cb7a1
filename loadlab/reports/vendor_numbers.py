"""The numbers of a stored vendor comparison, computed once for report, plan and dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from loadlab.analysis.vendor_spend import prices, spent_usd
from loadlab.analysis.vendors import Compared, compare
from loadlab.core.money import Price
from loadlab.vendors import Study


@dataclass(frozen=True, slots=True)
class Numbers:
    """All of one comparison; `runs` are the stored runs that count, `slots` the rows of their table."""

    study: Study
    compared: tuple[Compared, ...]
    rows: pd.DataFrame
    slots: pd.DataFrame
    runs: tuple[Any, ...]
    prices: dict[str, Price | None]
    spent: dict[str, float]


def studies(store: Any) -> list[Study]:
    """Every comparison of the store, newest first."""
    return [Study.from_document(document) for document in store.studies()["document"]]


def numbers(store: Any, study: Study) -> Numbers:
    """The numbers as they are now. `store` is what `loadlab.store.open` returns."""
    rows, slots = store.vendor_requests(study.name), store.vendor_slots(study.name)
    listed = prices(store, study.name)
    names = [vendor.name for vendor in study.vendors]
    compared = tuple(compare(rows, names, each.name, listed, study.own_mix) for each in study.workloads)
    counted = slots[slots["state"] == "done"].dropna(subset=["run_id"])
    runs = tuple(store.run(ref) for ref in counted["run_id"])
    return Numbers(study, compared, rows, slots, runs, listed, spent_usd(store, study.name))


def scatter(store: Any, study: Study) -> tuple[float, float, str] | None:
    """The scatter measured so far, the worst workload's; None before two slots are done."""
    found = [each for each in numbers(store, study).compared if each.sigma is not None]
    if not found:
        return None
    worst = max(found, key=lambda each: each.sigma or 0.0)
    return float(worst.sigma or 0.0), float(worst.slot_noise or 0.0), f"measured in {worst.slots} slots"
