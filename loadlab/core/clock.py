"""The one clock. On Linux `perf_counter_ns` is CLOCK_MONOTONIC, so processes of one host share its origin."""

from __future__ import annotations

import time

now_ns = time.perf_counter_ns


def anchor() -> tuple[int, int]:
    """The same instant as (monotonic ns, UTC epoch ns)."""
    return now_ns(), time.time_ns()
