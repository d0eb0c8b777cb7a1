"""Which level of load comes next: lists with their stops, automatic sweeps, searches for a limit.

In scope: decisions from what was measured. Out of scope: sending, storing, printing.
"""
