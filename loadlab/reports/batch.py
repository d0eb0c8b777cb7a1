"""A batch in words: how far it came, how long it took, what it saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from loadlab.core.units import number, usd


def words(batch: Mapping[str, Any] | None) -> list[str]:
    """A sentence each; none for a run that was no batch."""
    if batch is None:
        return []
    return [_counts(batch), *_turnaround(batch), *_rates(batch), *_saved(batch)]


def _counts(batch: Mapping[str, Any]) -> str:
    why = f": {batch['error']}" if batch["error"] else ""
    name = batch["id"] or "not handed in"
    return (
        f"{batch['language']} batch {name}, {batch['word'] or 'unknown'}{why}; "
        f"{batch['answered']:,} of {batch['requests']:,} requests answered"
    )


def _turnaround(batch: Mapping[str, Any]) -> Iterable[str]:
    if batch["turnaround_s"] is None:
        yield "turnaround unknown: it was not seen to its end"
        return
    vendor = batch["vendor"]
    named = (
        ("waited", vendor["waited_s"]),
        ("at work", vendor["worked_s"]),
        ("both", vendor["turnaround_s"]),
    )
    parts = [f"{name} {number(seconds)} s" for name, seconds in named if seconds is not None]
    theirs = f"; by the vendor's clock: {', '.join(parts)}" if parts else ""
    yield (
        f"turnaround {number(batch['turnaround_s'])} s from handing in, looked at every "
        f"{number(batch['poll_s'])} s{theirs}"
    )


def _rates(batch: Mapping[str, Any]) -> Iterable[str]:
    if batch["output_tokens_per_s"] is not None:
        yield (
            f"{number(batch['output_tokens_per_s'])} output tokens/s and {number(batch['requests_per_s'])} "
            "requests/s over the turnaround"
        )


def _saved(batch: Mapping[str, Any]) -> Iterable[str]:
    if batch["saved_share"] is not None:
        yield (
            f"{usd(batch['cost_usd'])} as a batch, {usd(batch['interactive_usd'])} interactively: "
            f"{batch['saved_share']:.0%} saved"
        )
