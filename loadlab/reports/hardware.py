"""What the GPUs and the server did at each level, in words, beside the latency that came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from loadlab.analysis.nouns import LevelSummary
from loadlab.core.units import number

# What is said of a level, where it is known: the key of `LevelSummary.hardware`, and the words around it.
_SAID = (
    ("gpu_utilisation_percent", "GPU {} % busy"),
    ("gpu_throttled_percent", "held back {} % of the time"),
    ("gpu_power_w", "{} W"),
    ("j_per_output_token", "{} J/token"),
    ("output_tokens_per_j", "{} tok/s/W"),
    ("kv_cache_max_percent", "KV cache up to {} %"),
    ("server_waiting_max", "up to {} waiting"),
    ("preemptions", "{} preempted"),
    ("prefix_cache_hit_percent", "prefix hits {} %"),
    ("spec_decode_accepted_percent", "drafts accepted {} %"),
)
_ONLY_IF_ANY = {"gpu_throttled_percent", "server_waiting_max", "preemptions"}


def words(levels: Sequence[LevelSummary]) -> list[str]:
    """One line for all, one per level of which anything was read, then what limits the numbers."""
    lines = [line for level in levels if (line := _level(level))]
    remarks = [remark for level in levels for remark in level.hardware.get("remarks", ())]
    return [*_gpus(levels), *lines, *dict.fromkeys(remarks)]


def _gpus(levels: Sequence[LevelSummary]) -> Iterator[str]:
    counts = {level.hardware["gpus"] for level in levels if level.hardware.get("gpus")}
    idle = next((level.hardware.get("gpu_idle_power_w") for level in levels), None)
    if counts:
        n = max(counts)
        yield f"{n} GPU{'s' if n > 1 else ''}" + (f", {number(idle)} W before the load" if idle else "")


def _level(level: LevelSummary) -> str:
    said = list(_parts(level.hardware))
    if not said:
        return ""
    ttft = level.metrics["ttft_ms"]["p95"]
    beside = [] if ttft is None else [f"TTFT p95 {number(ttft)} ms"]
    return f"{level.label}: {', '.join([*said, *beside])}"


def _parts(hardware: Mapping[str, Any]) -> Iterator[str]:
    for name, text in _SAID:
        value = hardware.get(name)
        if value is not None and (value or name not in _ONLY_IF_ANY):
            yield text.format(number(value))
