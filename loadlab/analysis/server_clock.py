"""A server's own account of one request, under whatever names it has, as queue, prefill and decode.

The server's clock is not ours: the parts have lengths (ms) and an order, and no instant.
"""

from __future__ import annotations

from collections.abc import Mapping

PARTS = ("queue", "prefill", "decode")
# Name -> (part, factor to ms). What a server calls its time to the first token counts from scheduling on.
_KNOWN = {
    "queue_ms": ("queue", 1.0),
    "prefill_ms": ("prefill", 1.0),
    "decode_ms": ("decode", 1.0),
    "queue_time_ms": ("queue", 1.0),
    "time_to_first_token_ms": ("prefill", 1.0),
    "generation_time_ms": ("decode", 1.0),
    "prompt_ms": ("prefill", 1.0),
    "predicted_ms": ("decode", 1.0),
    "load_duration": ("queue", 1e-6),
    "prompt_eval_duration": ("prefill", 1e-6),
    "eval_duration": ("decode", 1e-6),
    "queue_time": ("queue", 1e3),
    "prompt_time": ("prefill", 1e3),
    "completion_time": ("decode", 1e3),
}
_INSTANTS = ("arrival_time_ns", "first_scheduled_time_ns", "first_token_time_ns", "last_token_time_ns")


def server_parts(timings: Mapping[str, float] | None) -> dict[str, float]:
    """Lengths (ms) by part, in order; {} of a server that says nothing we know (docs/dialects.md)."""
    said = timings or {}
    found = {part: float(said[name]) * factor for name, (part, factor) in _KNOWN.items() if name in said}
    if all(name in said for name in _INSTANTS):
        marks = [float(said[name]) for name in _INSTANTS]
        found = {part: (end - start) / 1e6 for part, start, end in zip(PARTS, marks, marks[1:], strict=False)}
    if "first_token_latency" in said:  # SGLang counts it from arrival, so the queue is inside
        found["prefill"] = max(0.0, 1e3 * float(said["first_token_latency"]) - found.get("queue", 0.0))
        if "e2e_latency" in said:
            found["decode"] = 1e3 * (float(said["e2e_latency"]) - float(said["first_token_latency"]))
    return {part: found[part] for part in PARTS if part in found}
