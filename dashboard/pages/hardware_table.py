"""What GPUs and server did at each level, beside the latency that came of it, as a table."""

from __future__ import annotations

from typing import Any

from dash import html

from loadlab.analysis import LevelSummary, Summary
from loadlab.core.metrics import METRICS
from loadlab.figures.axes import quantity

from ..components import Column, table

_SHOWN = (
    "gpu_utilisation_percent", "gpu_power_w", "j_per_output_token", "output_tokens_per_j",
    "kv_cache_max_percent", "prefix_cache_hit_percent", "spec_decode_accepted_percent",
)  # fmt: skip
_BESIDE = (("ttft_ms", "TTFT p95"), ("itl_ms", "ITL p95"))


def hardware_by_level(summary: Summary) -> list[Any]:
    """A row per level and what limits its numbers; nothing where no GPU and no server page was read."""
    known = [name for name in _SHOWN if any(level.hardware.get(name) is not None for level in summary.levels)]
    if not known:
        return []
    columns = (
        Column("Load", "offered", number=False),
        *(Column(METRICS[name].label, name, help=METRICS[name].help) for name in known),
        *(Column(words, name) for name, words in _BESIDE),
    )
    rows = [_row(level, known) for level in summary.levels]
    remarks = dict.fromkeys(
        remark for level in summary.levels for remark in level.hardware.get("remarks", ())
    )
    notes = [html.Li(text) for text in (*_idle(summary), *remarks)]
    drawn = table(columns, rows, "What GPUs and server did at each level")
    return [drawn, html.Ul(notes)] if notes else [drawn]


def _row(level: LevelSummary, names: list[str]) -> dict[str, str]:
    hardware = {name: quantity(level.hardware.get(name), METRICS[name].unit) for name in names}
    beside = {name: quantity(level.metrics[name]["p95"], "ms") for name, _ in _BESIDE}
    return {"offered": level.label, **hardware, **beside}


def _idle(summary: Summary) -> list[str]:
    idle = next((level.hardware.get("gpu_idle_power_w") for level in summary.levels), None)
    return [] if idle is None else [f"Before the load the GPUs drew {quantity(idle, 'W')} together."]
