"""Rules judged: what `[gate]` of loadlab.toml says, against runs that were measured.

In scope: rules, verdicts and how sure they are. Out of scope: driving load, storing, printing.
"""

from __future__ import annotations

from loadlab.gates.nouns import Check, Judgement, Outcome
from loadlab.gates.rules import Gate, parse

__all__ = ["Check", "Gate", "Judgement", "Outcome", "parse"]
