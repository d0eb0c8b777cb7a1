"""Rows of one run to its Summary. Knows frames with the columns of the store's tables, and no database.

Only requests planned after the warm-up count; failed ones count in `requests` and `cost`, never in a latency.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from loadlab.analysis.accuracy import expected_error
from loadlab.analysis.attribution import idle_power_w, level_hardware
from loadlab.analysis.cost import level_cost
from loadlab.analysis.generator_rules import QUEUED_MS
from loadlab.analysis.notes import notes_of
from loadlab.analysis.nouns import LevelSummary, Signs, Stored, Summary
from loadlab.analysis.percentiles import Sample, Stats, describe, percentile
from loadlab.analysis.planned import planned
from loadlab.analysis.samples import REQUEST_METRICS, column, flag, ok
from loadlab.analysis.steady import flow, growth, under_way
from loadlab.analysis.verdict import judge, judge_run, losses
from loadlab.analysis.warmup import Settling, settling
from loadlab.core.nouns import Level
from loadlab.core.units import NS_PER_MS, NS_PER_S


def summarise(
    stored: Stored,
    levels: pd.DataFrame,
    requests: pd.DataFrame,
    gaps: pd.DataFrame,
    readings: pd.DataFrame | None = None,
    calibration: pd.DataFrame | None = None,
) -> Summary:
    """The Summary of a run from its frames. A level that never began is left out and named in the notes.

    `calibration`: what the store has for this load host; without it no level states its expected error.
    """
    rows = [row for row in levels.sort_values("level").to_dict("records") if _began(row, requests)]
    counted = gaps[flag(gaps, "ok") & ~flag(gaps, "warmup")]
    idle = idle_power_w(readings, levels["started_ns"].min())
    measured = (_level(stored, row, requests, counted, readings, idle) for row in rows)
    done = tuple(judge(_with_accuracy(level, stored, calibration)) for level in measured)
    verdict, reasons = judge_run(stored, done)
    run = {
        "id": stored.id,
        "verdict": verdict,
        "reasons": list(reasons),
        "state": stored.state,
        "started_at_ns": stored.started_at_ns,
        "finished_at_ns": stored.finished_at_ns,
    }
    return Summary(run, stored.spec, done, notes_of(stored, done))


def _with_accuracy(level: LevelSummary, stored: Stored, calibration: pd.DataFrame | None) -> LevelSummary:
    return replace(level, accuracy=expected_error(level.signs, stored.spec.processes, calibration))


def _began(row: dict[Any, Any], requests: pd.DataFrame) -> bool:
    return _known(row["started_ns"]) is not None or bool((requests["level"] == row["level"]).any())


def _level(
    stored: Stored,
    row: dict[Any, Any],
    requests: pd.DataFrame,
    gaps: pd.DataFrame,
    readings: pd.DataFrame | None,
    idle: tuple[float | None, list[str]],
) -> LevelSummary:
    index = int(row["level"])
    every = requests[requests["level"] == index]
    measured = every[~flag(every, "warmup")]
    answered = measured[ok(measured)]
    window_s = _window_s(measured)
    asked = _asked(stored, row)
    hardware = level_hardware(readings, _window_ns(measured), _total(answered, "output_tokens"), idle)
    return LevelSummary(
        index=index,
        offered=asked.offered,
        requests=_counts(measured, answered, warmup=len(every) - len(measured)),
        metrics=_metrics(measured, answered, column(gaps, "itl_ms")[column(gaps, "level") == index]),
        rates=_rates(answered, window_s),
        cost=level_cost(stored, every, _during(readings, row), window_s, hardware["energy_j"]),
        window_s=window_s,
        finished=_known(row["finished_ns"]) is not None,
        achieved_per_s=_achieved_per_s(measured),
        token_counts=_token_counts(answered),
        unknown_prompts=int(np.isnan(column(answered, "prompt_tokens")).sum()),
        generator=_generator(readings, row),
        examples=_examples(measured),
        lengths=_lengths(answered),
        signs=_signs(stored, row, asked, every, window_s),
        hardware=hardware,
        repeat=asked.repeat,
        ended=_known(row.get("ended")),
    )


def _known(value: Any) -> Any:
    return None if pd.isna(value) else value


def _asked(stored: Stored, row: dict[Any, Any]) -> Level:
    """The level as it was asked for; the run's spec says more of it than its row."""
    index = int(row["level"])
    if found := [level for level in stored.spec.levels if level.index == index]:
        return found[0]
    users, requests = _known(row["users"]), _known(row["requests"])
    return Level(
        index=index,
        users=None if users is None else int(users),
        rate=_known(row["rate"]),
        arrivals=row["arrivals"],
        requests=None if requests is None else int(requests),
        duration_s=_known(row["duration_s"]),
        warmup_s=float(row["warmup_s"]),
    )


def _counts(measured: pd.DataFrame, answered: pd.DataFrame, warmup: int) -> dict[str, Any]:
    errors = measured["error_kind"].value_counts()
    return {
        "sent": len(measured),
        "ok": len(answered),
        "failed": len(measured) - len(answered),
        "errors": {str(kind): int(n) for kind, n in errors.items()},
        "warmup": warmup,
    }


def _metrics(measured: pd.DataFrame, answered: pd.DataFrame, itl_ms: Sample) -> dict[str, Stats]:
    # The generator can be late for a request that then fails: send lag counts every request that left.
    stats = {
        name: describe(of(measured if name == "send_lag_ms" else answered))
        for name, of in REQUEST_METRICS.items()
    }
    return {**stats, "itl_ms": describe(itl_ms)}


def _window_ns(measured: pd.DataFrame) -> tuple[int, int] | None:
    """From the first planned to the last done; None where no time lies between."""
    done = column(measured, "done_ns")
    if not np.isfinite(done).any():
        return None
    start, end = int(column(measured, "planned_ns").min()), int(np.nanmax(done))
    return (start, end) if end > start else None


def _window_s(measured: pd.DataFrame) -> float | None:
    window = _window_ns(measured)
    return (window[1] - window[0]) / NS_PER_S if window else None


def _total(answered: pd.DataFrame, *names: str) -> float | None:
    """The sum of what is known; None when there are answers and nothing about them is known."""
    columns = [column(answered, name) for name in names]
    if len(answered) and any(np.isnan(values).all() for values in columns):
        return None
    return float(sum(np.nansum(values) for values in columns))


def _ratio(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _rates(answered: pd.DataFrame, window_s: float | None) -> dict[str, float | None]:
    rates = {
        "requests_per_s": _ratio(len(answered), window_s),
        "output_tokens_per_s": _ratio(_total(answered, "output_tokens"), window_s),
        "total_tokens_per_s": _ratio(_total(answered, "prompt_tokens", "output_tokens"), window_s),
    }
    if audio_s := _total(answered, "audio_s"):
        rates["audio_s_per_s"] = _ratio(audio_s, window_s)
    return rates


def _achieved_per_s(measured: pd.DataFrame) -> float | None:
    sent = column(measured, "sent_ns")
    n = int(np.isfinite(sent).sum())
    if n < 2:
        return None
    span_s = (float(np.nanmax(sent)) - float(column(measured, "planned_ns").min())) / NS_PER_S
    return (n - 1) / span_s if span_s > 0 else None


def _token_counts(answered: pd.DataFrame) -> dict[str, int]:
    source = answered["count_source"].where(column(answered, "output_tokens") >= 0)
    return {str(name): int(n) for name, n in source.fillna("unknown").value_counts().items()}


def _examples(measured: pd.DataFrame) -> dict[str, str]:
    failed = measured.dropna(subset=["error_kind", "error_detail"]).drop_duplicates("error_kind")
    return {str(kind): str(detail) for kind, detail in failed[["error_kind", "error_detail"]].to_numpy()}


def _lengths(answered: pd.DataFrame) -> dict[str, int]:
    """How many answers reached the cap they were given; a count that is not the server's says nothing."""
    tokens, cap = column(answered, "output_tokens"), column(answered, "max_tokens")
    capped = (answered["count_source"] == "usage").to_numpy(dtype=bool) & (cap > 0) & ~np.isnan(tokens)
    return {
        "reached_max_tokens": int((tokens >= cap)[capped].sum()),
        "ended_before": int((tokens < cap)[capped].sum()),
        "beyond_max_tokens": int((tokens > cap)[capped].sum()),
    }


def _signs(
    stored: Stored, row: dict[Any, Any], asked: Level, every: pd.DataFrame, window_s: float | None
) -> Signs:
    measured = every[~flag(every, "warmup")]
    finished = _known(row["finished_ns"]) is not None
    over = finished or stored.state != "running"
    return Signs(
        planned=planned(every, asked, stored.spec.seed, _known(row["started_ns"])) if over else None,
        flow=flow(every) if over else None,
        growth=growth(every),
        queued=int((column(measured, "queued_ns") > QUEUED_MS * NS_PER_MS).sum()),
        under_way=under_way(measured),
        events_per_s=_ratio(float(np.nansum(column(measured, "chunks"))), window_s),
        tokens_per_event=_tokens_per_event(measured[ok(measured)]),
        cut=not finished or bool(losses(stored)) or _known(row.get("ended")) is not None,
        settling=_settling(asked, measured[ok(measured)]) if over else (),
        cached=_cached(measured[ok(measured)]),
    )


def _cached(answered: pd.DataFrame) -> tuple[float, float] | None:
    """Shares of the prompt tokens; None where the server does not say, or there are too few answers."""
    known = answered[answered["cached_tokens"].notna() & (column(answered, "prompt_tokens") > 0)]
    if len(known) < 2:
        return None
    halves = (known.iloc[: len(known) // 2], known.iloc[len(known) // 2 :])
    first, second = (
        float(column(half, "cached_tokens").sum() / column(half, "prompt_tokens").sum()) for half in halves
    )
    return first, second


def _settling(asked: Level, answered: pd.DataFrame) -> tuple[Settling, ...]:
    if asked.arrivals in ("shape", "trace") or asked.profile or asked.spread_s:
        return ()
    found = (settling(name, REQUEST_METRICS[name](answered)) for name in ("ttft_ms", "tpot_ms"))
    return tuple(each for each in found if each)


def _tokens_per_event(answered: pd.DataFrame) -> float | None:
    """Over streamed answers that the server counted; one event alone is an answer in one piece."""
    text = answered["audio_s"].isna()  # a piece of sound, or a transcript heard anew, is no token
    streamed = answered[text & (answered["count_source"] == "usage") & (answered["chunks"] > 1)]
    return _ratio(_total(streamed, "output_tokens"), _total(streamed, "chunks"))


_HEALTH = {
    "hub_stall_ms_max": ("generator", "hub_stall_ms", 1.0),
    "cpu_percent_p95": ("generator", "cpu_percent", 0.95),
    "backlog_max": ("recorder", "backlog", 1.0),
    "behind_ms_max": ("recorder", "behind_ms", 1.0),
}


def _generator(readings: pd.DataFrame | None, row: dict[Any, Any]) -> dict[str, float | None]:
    """The worst device's own health during the level."""
    own = _during(readings, row)
    if own is None or own.empty:
        return dict.fromkeys(_HEALTH)
    return {
        name: _worst(own[(own["source"] == source).to_numpy(dtype=bool)], metric, p)
        for name, (source, metric, p) in _HEALTH.items()
    }


def _during(readings: pd.DataFrame | None, row: dict[Any, Any]) -> pd.DataFrame | None:
    """The readings between the start of a level and its end."""
    if readings is None:
        return None
    at, start, end = column(readings, "at_ns"), _known(row["started_ns"]), _known(row["finished_ns"])
    return readings[(at >= (-np.inf if start is None else start)) & (at <= (np.inf if end is None else end))]


def _worst(readings: pd.DataFrame, metric: str, p: float) -> float | None:
    devices = readings[readings["metric"] == metric].groupby("device")
    values = [percentile(column(device, "value"), p) for _, device in devices]
    return max((value for value in values if value is not None), default=None)
