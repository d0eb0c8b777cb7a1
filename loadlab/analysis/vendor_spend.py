"""What a vendor comparison has cost so far, from the runs it is made of."""

from __future__ import annotations

from typing import Any

from loadlab.core.money import Price


def spent_usd(store: Any, study: str) -> dict[str, float]:
    """USD by vendor, blocks that were done again too; requests of unknown cost are not in it.

    `store` is what `loadlab.store.open` returns.
    """
    slots, spent = store.vendor_slots(study).dropna(subset=["run_id"]), store.spent()
    nano = {ref: rows.dropna().sum() for ref, rows in spent.groupby("run_id")["cost_nano_usd"]}
    found: dict[str, float] = {}
    for row in slots.to_dict("records"):
        found[row["vendor"]] = found.get(row["vendor"], 0.0) + float(nano.get(row["run_id"], 0)) / 1e9
    return found


def prices(store: Any, study: str) -> dict[str, Price | None]:
    """The price of each vendor as it stood at its last run."""
    slots = store.vendor_slots(study).dropna(subset=["run_id"]).drop_duplicates("vendor", keep="last")
    return {row["vendor"]: store.run(row["run_id"]).price for row in slots.to_dict("records")}
