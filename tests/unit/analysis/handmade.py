"""Frames written by hand, with the columns of the store's tables and times in ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from loadlab.core.nouns import Endpoint, Level, Price, Run
from loadlab.store import schema

MS = 1_000_000
_TEXT = {"error_kind", "error_detail", "finish_reason", "count_source"}


@dataclass
class StoredRun:
    """What `store.run(ref)` returns, by hand."""

    spec: Run
    id: str = "run-1"
    state: str = "finished"
    notes: Sequence[str] = ()
    started_at_ns: int = 1_790_000_000_000_000_000
    finished_at_ns: int | None = 1_790_000_010_000_000_000
    price: Price | None = None
    unpriced: str = "unpriced: no price was given"
    environment: dict[str, Any] = field(default_factory=dict)


def run(*levels: Level, **changes: Any) -> StoredRun:
    spec = Run(
        id="run-1",
        scenario="chat",
        scenario_path="scenarios/chat.py",
        endpoint=Endpoint(url="http://127.0.0.1:8000/v1", model="tiny", name="local"),
        levels=levels or (Level(0, users=8),),
        seed=1,
        timeout_s=60,
        clock_ns=0,
        started_at_ns=1_790_000_000_000_000_000,
    )
    return StoredRun(spec, **changes)


def request(
    planned: float = 0.0,
    *,
    lag: float = 0.0,
    connect: float = 0.0,
    ttft: float = 50.0,
    tokens: int = 3,
    itl: float = 10.0,
    tail: float = 0.0,
    **changes: Any,
) -> dict[str, Any]:
    """A successful streamed request: every argument in ms but the number of output tokens."""
    sent = planned + lag + connect
    first = sent + ttft
    last = first + itl * (tokens - 1)
    return {
        "level": 0,
        "worker": 0,
        "warmup": False,
        "planned_ns": planned * MS,
        "sent_ns": sent * MS,
        "connect_ns": connect * MS,
        "tls_ns": 0,
        "queued_ns": 0,
        "reused": connect == 0,
        "retries": 0,
        "first_byte_ns": first * MS,
        "first_event_ns": first * MS,
        "first_token_ns": first * MS,
        "first_answer_ns": first * MS,
        "last_token_ns": last * MS,
        "done_ns": (last + tail) * MS,
        "status": 200,
        "finish_reason": "stop",
        "max_tokens": 100,
        "prompt_tokens": 10,
        "cached_tokens": 0,
        "output_tokens": tokens,
        "chunks": tokens,
        "count_source": "usage",
        "route": 0,
        **changes,
    }


def failure(planned: float = 0.0, kind: str = "timeout", **changes: Any) -> dict[str, Any]:
    """A request that left at once and broke 100 ms later without any output."""
    return {
        **request(planned, **changes),
        **dict.fromkeys(("first_byte_ns", "first_event_ns", "first_token_ns", "first_answer_ns")),
        **dict.fromkeys(("last_token_ns", "status", "finish_reason", "prompt_tokens", "cached_tokens")),
        **dict.fromkeys(("output_tokens", "count_source")),
        "done_ns": (planned + 100) * MS,
        "chunks": 0,
        "error_kind": kind,
        "error_detail": f"{kind} in words",
        **changes,
    }


def requests(*rows: dict[str, Any]) -> pd.DataFrame:
    """A frame as `store.requests` gives it: nullable numbers as float64, text as objects."""
    names = [column.name for column in schema.request.columns if column.name != "run_id"]
    frame = pd.DataFrame([{"seq": seq, **row} for seq, row in enumerate(rows)], columns=names)
    numbers = [name for name in names if name not in _TEXT and name not in ("warmup", "reused")]
    frame[numbers] = frame[numbers].astype(np.float64)
    frame[sorted(_TEXT)] = frame[sorted(_TEXT)].astype(object)
    return frame.astype({"warmup": bool, "reused": bool, "level": int, "worker": int, "seq": int})


def levels(*given: Level, started: float | None = 0.0, finished: float | None = 1e6) -> pd.DataFrame:
    """A frame as `store.levels` gives it; start and end in ms."""
    at = {"started_ns": started, "finished_ns": finished}
    rows = [
        {
            "level": level.index,
            "users": level.users,
            "rate": level.rate,
            "arrivals": level.arrivals,
            "requests": level.requests,
            "duration_s": level.duration_s,
            "warmup_s": level.warmup_s,
            **{name: None if ms is None else ms * MS for name, ms in at.items()},
        }
        for level in given or (Level(0, users=8),)
    ]
    frame = pd.DataFrame(rows)
    numbers = ["users", "rate", "requests", "duration_s", "warmup_s", *at]
    return frame.astype(dict.fromkeys(numbers, np.float64))


def gaps(requests: pd.DataFrame) -> pd.DataFrame:
    """A frame as `store.gaps` gives it: each request's chunks came at an even pace."""
    each = np.maximum(requests["chunks"].to_numpy(int) - 1, 0)
    span = (requests["last_token_ns"] - requests["first_token_ns"]).to_numpy()
    kept = requests.loc[:, ["level", "warmup"]].assign(
        ok=requests["error_kind"].isna(), itl_ms=span / np.maximum(each, 1) / MS
    )
    return kept.loc[kept.index.repeat(each)].reset_index(drop=True)


def reading(
    metric: str, value: float, at: float = 1.0, device: str = "worker0", source: str = "generator"
) -> dict[str, Any]:
    return {"at_ns": at * MS, "source": source, "device": device, "metric": metric, "value": value}


def readings(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["at_ns", "source", "device", "metric", "value"])


def calibration(*rows: dict[str, Any]) -> pd.DataFrame:
    """A frame as `store.calibration` gives it: one load host, one row per load."""
    usual = {
        "calibrated_at_ns": 1_795_000_000_000_000_000, "processes": 1, "streams": 100, "tokens_per_s": 100.0,
        "ttft_p50_ms": 0.4, "ttft_p99_ms": 4.0, "itl_p50_ms": 0.01, "itl_p99_ms": 2.0,
    }  # fmt: skip
    return pd.DataFrame([{**usual, **row} for row in rows], columns=list(usual))
