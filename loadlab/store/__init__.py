"""Runs in a database: SQLite in a file or PostgreSQL, chosen by URL. No formula is known here."""

from loadlab.core.incident import Change, Incident
from loadlab.core.judged import JudgedLevel, Statistic
from loadlab.store.opening import open  # noqa: A004 (store.open reads well and is never star-imported)
from loadlab.store.run_pages import Sought
from loadlab.store.sharing import SharedStore, take_over
from loadlab.store.store import Store
from loadlab.store.stored import Pricing, StoredRun

__all__ = [
    "Change",
    "Incident",
    "JudgedLevel",
    "Pricing",
    "SharedStore",
    "Sought",
    "Statistic",
    "Store",
    "StoredRun",
    "open",
    "take_over",
]
