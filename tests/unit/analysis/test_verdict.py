"""Every rule fires just past its limit and stays silent just before it."""

from __future__ import annotations

from typing import Any

import handmade
import pytest

from loadlab.analysis import LevelSummary, Summary, summarise
from loadlab.analysis.nouns import Signs
from loadlab.analysis.planned import Planned
from loadlab.analysis.steady import Flow, Growth
from loadlab.analysis.verdict import LEVEL_RULES, RUN_RULES, judge, worst
from loadlab.analysis.warmup import Settling
from loadlab.core.nouns import Level

USERS = {"users": 8, "arrivals": "closed"}
OPEN = {"rate": 10.0, "arrivals": "poisson"}


def level(**changes: Any) -> LevelSummary:
    """A healthy level of 100 requests, with changes."""
    lag = changes.pop("lag_ms", 0.5)
    ttft = changes.pop("ttft_ms", 50.0)
    failed = changes.pop("failed", 0)
    errors = changes.pop("errors", {"timeout": failed} if failed else {})
    return LevelSummary(
        **{
            "index": 0,
            "offered": USERS,
            "requests": {"sent": 100, "ok": 100 - failed, "failed": failed, "errors": errors, "warmup": 0},
            "metrics": {"send_lag_ms": {"n": 100, "p99": lag}, "ttft_ms": {"n": 100, "p50": ttft}},
            "rates": {},
            "cost": {},
            "window_s": 10.0,
            "finished": True,
            "achieved_per_s": 10.0,
            "token_counts": {"usage": 100 - failed},
            "unknown_prompts": 0,
            "generator": {"hub_stall_ms_max": 5.0, "cpu_percent_p95": 30.0},
            "examples": {},
            **changes,
        }
    )


def playing(missing: int = 0, *, cut: bool = False, span_s: float = 9.9, **changes: Any) -> LevelSummary:
    """An open loop whose schedule of 100 arrivals asks for 10 per second."""
    signs = Signs(planned=Planned(100, missing, 10.0, span_s), cut=cut)
    return level(offered=OPEN, signs=signs, **changes)


def recorder(**readings: float) -> dict[str, float | None]:
    return {"hub_stall_ms_max": None, "cpu_percent_p95": None, **readings}


SILENT = {
    "healthy": level(),
    "lag at the limit": level(lag_ms=5.0),
    "lag within 2 % of a slow TTFT": level(lag_ms=19.9, ttft_ms=1_000),
    "nothing known of the generator": level(generator={"hub_stall_ms_max": None, "cpu_percent_p95": None}),
    "stall below the limit": level(generator={"hub_stall_ms_max": 99.9, "cpu_percent_p95": 79.9}),
    "one failure in a hundred": level(failed=1),
    "open loop close to its rate": level(offered=OPEN, achieved_per_s=13.1),
    "a schedule played whole": playing(achieved_per_s=9.8),
    "a short schedule with sends 5 ms late": playing(span_s=0.1, achieved_per_s=9.4),
    "more requests than arrivals": playing(achieved_per_s=20.0),
    "recorder at its limits": level(generator=recorder(backlog_max=10_000, behind_ms_max=10_000)),
    "tokens and events agree": level(signs=Signs(tokens_per_event=0.96)),
    "many tokens per event": level(signs=Signs(tokens_per_event=19.9)),
    "answers at their cap": level(lengths={"reached_max_tokens": 100, "beyond_max_tokens": 0}),
    "flow within what the ends explain": level(signs=Signs(flow=Flow(10.0, 10.6, 0.041))),
    "growth of a closed loop": level(signs=Signs(growth=Growth(2.0, 2.0, 50.0))),
    "growth of one of the two": level(offered=OPEN, signs=Signs(growth=Growth(2.0, 0.4, 50.0))),
    "growth that may be chance": level(offered=OPEN, signs=Signs(growth=Growth(2.0, 2.0, 5.9))),
    "closed loop has no rate to miss": level(achieved_per_s=99.0),
    "open loop with one send": level(offered=OPEN, achieved_per_s=None),
}

FIRING = {
    "no success": (
        level(failed=100, token_counts={}),
        "INVALID",
        "no request succeeded: 0 of 100, at least 1 is needed",
    ),
    "late": (level(lag_ms=5.01), "INVALID", "generator late: p99 send lag 5.01 ms, limit 5.00 ms"),
    "late for a slow endpoint": (
        level(lag_ms=21.0, ttft_ms=1_000),
        "INVALID",
        "generator late: p99 send lag 21.0 ms, limit 20.0 ms",
    ),
    "late without any TTFT": (
        level(lag_ms=6.0, ttft_ms=None),
        "INVALID",
        "generator late: p99 send lag 6.00 ms, limit 5.00 ms",
    ),
    "dropped": (
        level(failed=1, errors={"dropped": 1}),
        "INVALID",
        "1 planned arrivals dropped, limit 0",
    ),
    "holes in the schedule": (playing(3), "INVALID", "3 planned arrivals dropped, limit 0"),
    "schedule cut": (
        playing(40, cut=True),
        "SUSPECT",
        "schedule cut: 40 of 100 planned arrivals never sent, limit 0",
    ),
    "waited in the client": (
        level(signs=Signs(queued=7)),
        "SUSPECT",
        "7 of 100 requests (7.0%) waited in the client for a place, limit 0",
    ),
    "recorder with a backlog": (
        level(generator=recorder(backlog_max=12_000, behind_ms_max=3_000)),
        "SUSPECT",
        "recorder behind: 12,000 exchanges not yet written, limit 10,000; decoded 3.00 s after they ended, "
        "limit 10 s",
    ),
    "recorder late": (
        level(generator=recorder(behind_ms_max=10_001)),
        "SUSPECT",
        "recorder behind: – exchanges not yet written, limit 10,000; decoded 10.0 s after they ended, "
        "limit 10 s",
    ),
    "fewer tokens than events": (
        level(signs=Signs(tokens_per_event=0.5)),
        "SUSPECT",
        "token counts disagree: the server counts 0.500 tokens per event of output, limits 0.95 and 20",
    ),
    "hidden tokens": (
        level(signs=Signs(tokens_per_event=20.1)),
        "SUSPECT",
        "token counts disagree: the server counts 20.1 tokens per event of output, limits 0.95 and 20",
    ),
    "beyond the cap": (
        level(lengths={"reached_max_tokens": 100, "beyond_max_tokens": 2}),
        "SUSPECT",
        "2 of 100 answers count more tokens than their max_tokens, limit 0",
    ),
    "not what Little says": (
        level(signs=Signs(flow=Flow(10.0, 10.7, 0.041))),
        "SUSPECT",
        "not steady: 10.0 requests under way on average, rate × latency says 10.7: 7.0% apart, limit 6.1%",
    ),
    "over capacity": (
        level(offered=OPEN, signs=Signs(growth=Growth(1.5, 1.2, 20.0))),
        "SUSPECT",
        "unstable: requests under way rose by 150% of their mean and TTFT by 120%, limit 50%",
    ),
    "warm-up too short": (
        level(signs=Signs(settling=(Settling("ttft_ms", 0.2, 80.0, 50.0, 9.0),))),
        "SUSPECT",
        "warm-up too short: mean Time to first token 80.0 ms in the first 20% of the requests, "
        "50.0 ms after, limit 10%",
    ),
    "half failed": (level(failed=50), "INVALID", "50 of 100 requests failed (50.0%), limit 50%"),
    "some failed": (level(failed=2), "SUSPECT", "2 of 100 requests failed (2.0%), limit 1%"),
    "cancelled": (
        level(failed=40, errors={"cancelled": 39, "timeout": 1}),
        "SUSPECT",
        "39 of 100 requests cancelled under way, limit 0",
    ),
    "failures among those that ended": (
        level(failed=40, errors={"cancelled": 20, "timeout": 20}),
        "SUSPECT",
        "20 of 80 requests failed (25.0%), limit 1%",
    ),
    "almost half failed": (level(failed=49), "SUSPECT", "49 of 100 requests failed (49.0%), limit 1%"),
    "stalled": (
        level(generator={"hub_stall_ms_max": 100.0, "cpu_percent_p95": None}),
        "SUSPECT",
        "generator stalled: event loop blocked for 100 ms, limit 100 ms",
    ),
    "busy": (
        level(generator={"hub_stall_ms_max": None, "cpu_percent_p95": 80.0}),
        "SUSPECT",
        "generator short of CPU: p95 80.0 % of a core, limit 80 %",
    ),
    "chunks counted": (
        level(token_counts={"usage": 90, "chunks": 7, "unknown": 3}),
        "SUSPECT",
        "output tokens not counted by the server: 7 from chunks, 3 unknown of 100 answers, limit 0",
    ),
    "too fast": (
        level(offered=OPEN, achieved_per_s=13.3),
        "SUSPECT",
        "sent 13.3 req/s of 10.0 scheduled: 33.0% off, limit 32.0%",
    ),
    "too slow": (
        level(offered=OPEN, achieved_per_s=6.7),
        "SUSPECT",
        "sent 6.70 req/s of 10.0 scheduled: 33.0% off, limit 32.0%",
    ),
    "slower than its schedule": (
        playing(achieved_per_s=9.7),
        "SUSPECT",
        "sent 9.70 req/s of 10.0 scheduled: 3.0% off, limit 2.1%",
    ),
}


@pytest.mark.parametrize("healthy", SILENT.values(), ids=SILENT)
def test_silent(healthy: LevelSummary) -> None:
    judged = judge(healthy)
    assert (judged.verdict, judged.reasons) == ("VALID", ())


@pytest.mark.parametrize(("sick", "verdict", "reason"), FIRING.values(), ids=FIRING)
def test_fires(sick: LevelSummary, verdict: str, reason: str) -> None:
    judged = judge(sick)
    assert judged.verdict == verdict
    assert reason in judged.reasons


def test_every_level_rule_is_tried_above() -> None:
    fired = {rule.check for sick, _, _ in FIRING.values() for rule in LEVEL_RULES if rule.check(sick)}
    assert fired == {rule.check for rule in LEVEL_RULES}


def test_a_failure_is_told_once() -> None:
    assert len(judge(level(failed=60)).reasons) == 1
    assert len(judge(level(failed=100, token_counts={})).reasons) == 1


def test_cancelled_requests_are_not_the_servers_failures() -> None:
    judged = judge(level(failed=60, errors={"cancelled": 60}))
    assert judged.verdict == "SUSPECT"
    assert judged.reasons == ("60 of 100 requests cancelled under way, limit 0",)


def test_the_worst_verdict_wins() -> None:
    assert judge(level(failed=2, lag_ms=9)).verdict == "INVALID"
    assert worst(["VALID", "INVALID", "SUSPECT"]) == "INVALID"
    assert worst(["SUSPECT", "VALID"]) == "SUSPECT"
    assert worst([]) == "VALID"


def summary(*rows: dict[str, Any], levels: tuple[Level, ...] = (Level(0, users=8),), **run: Any) -> Summary:
    requests = handmade.requests(*rows)
    return summarise(
        handmade.run(*levels, **run), handmade.levels(*levels), requests, handmade.gaps(requests)
    )


def test_a_clean_run_is_valid() -> None:
    assert summary(handmade.request()).run["verdict"] == "VALID"
    assert summary(handmade.request()).run["reasons"] == []


def test_the_run_is_as_bad_as_its_worst_level_and_names_it_first() -> None:
    rows = [handmade.request(at, level=0) for at in range(20)] + [handmade.failure(30, level=0)]
    found = summary(
        *rows, handmade.failure(level=1), levels=(Level(0, users=1), Level(1, rate=2.0, arrivals="poisson"))
    )
    assert [level.verdict for level in found.levels] == ["SUSPECT", "INVALID"]
    assert found.run["verdict"] == "INVALID"
    assert found.run["reasons"] == [
        "2 req/s poisson: no request succeeded: 0 of 1, at least 1 is needed",
        "1 user: 1 of 21 requests failed (4.8%), limit 1%",
    ]


def test_an_interrupted_run_is_suspect() -> None:
    found = summary(handmade.request(), state="interrupted")
    assert found.run["verdict"] == "SUSPECT"
    assert found.run["reasons"] == ["interrupted: 1 of 1 levels complete, 1 measured requests kept"]


def test_a_lost_load_worker_makes_a_run_suspect() -> None:
    note = "load worker 1 was lost during the run (signal 9): what it had finished is kept"
    found = summary(handmade.request(), notes=[note, "the recorder was lost during the run (signal 9)"])
    assert found.run["verdict"] == "SUSPECT"
    assert found.run["reasons"] == ["lost during the run: load worker 1 (signal 9), limit 0"]


def test_a_run_without_any_level_is_invalid() -> None:
    requests = handmade.requests()
    found = summarise(handmade.run(), handmade.levels().iloc[:0], requests, handmade.gaps(requests))
    assert found.levels == ()
    assert found.run["verdict"] == "INVALID"
    assert found.run["reasons"] == ["no level began: 0 of 1, at least 1 is needed"]


@pytest.mark.parametrize("note", ["12 arrivals were dropped", "dropped 12 arrivals: no free connection"])
def test_dropped_arrivals_in_the_notes_invalidate_an_open_loop(note: str) -> None:
    level = Level(0, rate=1000.0, arrivals="constant")
    rows = [handmade.request(at) for at in range(20)]
    found = summary(*rows, levels=(level,), notes=[note])
    assert found.run["verdict"] == "INVALID"
    assert found.run["reasons"] == [f"{note}, limit 0"]


def test_other_notes_and_closed_loops_are_not_dropped_arrivals() -> None:
    assert summary(handmade.request(), notes=["12 arrivals were dropped"]).run["verdict"] == "VALID"
    level = Level(0, rate=1000.0, arrivals="constant")
    rows = [handmade.request(at) for at in range(20)]
    assert summary(*rows, levels=(level,), notes=["3 readings dropped"]).run["verdict"] == "VALID"


def test_achieved_rate_is_counted_from_sends() -> None:
    level = Level(0, rate=10.0, arrivals="constant", requests=100)
    late = [handmade.request(at * 100, lag=at * 100) for at in range(100)]
    found = summary(*late, levels=(level,)).levels[0]
    assert found.achieved_per_s == pytest.approx(99 / 19.8)
    assert any(reason.startswith("sent 5.00 req/s of 10.0 scheduled: 50.0% off") for reason in found.reasons)


def test_run_rules_are_all_tried_above() -> None:
    assert [rule.check.__name__ for rule in RUN_RULES] == [
        "nothing_recorded", "dropped_in_notes", "interrupted", "lost_generator",
    ]  # fmt: skip
