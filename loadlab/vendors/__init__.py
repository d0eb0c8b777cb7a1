"""Vendor comparisons as they are asked for: the file, the order of measuring, when a slot is due.

In scope: plain values and dates. Out of scope: sending, storing, and what the numbers mean.
"""

from __future__ import annotations

from loadlab.vendors.protocol import Block, block_order, due_ns, seed_of
from loadlab.vendors.study import Study, Vendor, Workload, read

__all__ = ["Block", "Study", "Vendor", "Workload", "block_order", "due_ns", "read", "seed_of"]
