"""Nouns as rows: what goes into each table, with times turned into offsets and hostile values made storable.

A response's words and counts come from outside. PostgreSQL refuses a whole batch for one NUL character or one
oversized integer, so they are cut or made unknown here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from loadlab.core.nouns import Level, Price, Reading, Result, Run, Terms
from loadlab.store import codec, schema

_DETAIL_LIMIT = 2000
_INT32_LIMIT = 2**31
_OFFSETS = (
    "planned_ns", "sent_ns", "first_byte_ns", "first_event_ns", "first_token_ns", "first_answer_ns",
    "first_reasoning_ns", "first_tool_ns", "last_token_ns", "done_ns",
)  # fmt: skip
_COUNTS = (
    "status", "prompt_tokens", "cached_tokens", "output_tokens", "reasoning_tokens", "cache_write_tokens",
    "audio_input_tokens", "audio_output_tokens", "tool_tokens",
)  # fmt: skip
_TEXTS = {"error_kind": 40, "error_detail": _DETAIL_LIMIT, "finish_reason": 40}
_LOAD_HOST = {"loadlab": 40, "python": 40, "platform": 200, "machine": 60, "cpu": 200}
_COLUMNS = [column.name for column in schema.request.columns if column.name != "run_id"]
_values = attrgetter(*_COLUMNS)


def run_row(run: Run) -> dict[str, Any]:
    """The row of a run that begins now."""
    spec = run.to_dict()
    environment, price = spec.pop("environment"), spec.pop("price")
    return {
        "id": run.id,
        "scenario": text(run.scenario, 200),
        "target": text(run.endpoint.name, 200),
        "url": text(run.endpoint.url, 1000),
        "model": text(run.endpoint.model, 300),
        "dialect": text(run.endpoint.dialect, 60),
        "label": text(run.label, 200),
        "seed": run.seed,
        "state": "running",
        "reasons": [],
        "started_at_ns": run.started_at_ns,
        "heartbeat_at_ns": time.time_ns(),
        "spec": spec,
        "price": price or sa.null(),  # None would be stored as the JSON word null
        "unpriced": run.unpriced,
        "environment": environment,
        "notes": [],
    }


def level_row(run_id: str, level: Level, started_ns: int) -> dict[str, Any]:
    """The row of a level that begins; `started_ns` counts from the run's anchor."""
    return {
        "run_id": run_id,
        "level": level.index,
        "users": level.users,
        "rate": level.rate,
        "arrivals": level.arrivals,
        "requests": level.requests,
        "duration_s": level.duration_s,
        "warmup_s": level.warmup_s,
        "started_ns": started_ns,
    }


def request_row(run_id: str, result: Result, clock_ns: int) -> dict[str, Any]:
    """The row of one result; its times become offsets from `clock_ns`."""
    row = dict(zip(_COLUMNS, _values(result), strict=True))
    row["run_id"] = run_id
    for name in _OFFSETS:
        if row[name] is not None:
            row[name] -= clock_ns
    for name in _COUNTS:
        row[name] = _count(row[name])
    for name, limit in _TEXTS.items():
        row[name] = text(row[name], limit)
    return row


def arrivals_row(run_id: str, result: Result) -> dict[str, Any]:
    """The row of one result's arrivals."""
    number, blob = codec.encode(result.arrivals_ns, _base(result))
    return {"run_id": run_id, "worker": result.worker, "seq": result.seq, "codec": number, "blob": blob}


def reading_rows(run_id: str, readings: Sequence[Reading], clock_ns: int) -> Iterator[dict[str, Any]]:
    """The rows of readings; one that is not a finite number is no reading and is left out."""
    for reading in readings:
        if math.isfinite(reading.value):
            yield {
                "run_id": run_id,
                "at_ns": reading.at_ns - clock_ns,
                "source": text(reading.source, 40),
                "device": text(reading.device, 80),
                "metric": text(reading.metric, 120),
                "value": float(reading.value),
            }


def repricing_row(run_id: str, price: Price | None, unpriced: str, terms: Terms) -> dict[str, Any]:
    """The row of a run priced anew, now."""
    return {
        "run_id": run_id,
        "priced_at_ns": time.time_ns(),
        "price": asdict(price) if price else None,
        "unpriced": unpriced,
        "terms": asdict(terms),
    }


def baseline_rows(name: str, run_ids: Sequence[str], why: str) -> list[dict[str, Any]]:
    """The rows of a baseline that is set now."""
    about = {"name": text(name, 200), "set_at_ns": time.time_ns(), "why": text(why, _DETAIL_LIMIT)}
    return [{**about, "run_id": run_id} for run_id in run_ids]


def gate_row(gate_id: str, outcome: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a gate judged now."""
    return {"id": gate_id, "judged_at_ns": time.time_ns(), "outcome": outcome, "document": dict(document)}


def calibration_row(
    run_id: str | None, environment: Mapping[str, Any], measured: Mapping[str, Any]
) -> dict[str, Any]:
    """The row of one calibrated load, measured now."""
    return {"calibrated_at_ns": time.time_ns(), "run_id": run_id, **load_host(environment), **measured}


def load_host(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a load host the same one: an error measured there counts only there."""
    words = {name: text(str(environment.get(name)), limit) for name, limit in _LOAD_HOST.items()}
    return {**words, "cpus": int(environment.get("cpus") or 0)}


def text(value: str | None, limit: int) -> str | None:
    """The text cut to `limit` characters, without what a database cannot hold (NUL, lone surrogates)."""
    if value is None:
        return None
    return value[:limit].replace("\0", "").encode("utf-8", "replace").decode("utf-8")


def _base(result: Result) -> int:
    return result.planned_ns if result.sent_ns is None else result.sent_ns


def _count(value: int | None) -> int | None:
    """The count, or None when it is beyond anything a server can mean."""
    return value if value is not None and abs(value) < _INT32_LIMIT else None
