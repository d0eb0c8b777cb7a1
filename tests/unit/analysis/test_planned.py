"""An open loop is held against its own schedule, whatever the luck of that schedule was."""

from __future__ import annotations

from typing import Any

import handmade
import pandas as pd
import pytest

from loadlab.analysis import LevelSummary, summarise
from loadlab.analysis.planned import planned
from loadlab.core.nouns import Level
from loadlab.shapes import arrivals, schedule_seed

START_MS = 40.0


def played(level: Level, seed: int, *, lag: float = 0.0, keep: Any = None, **run: Any) -> LevelSummary:
    """The level's summary when its own schedule was sent, `lag` ms late, less what `keep` leaves out."""
    offsets = [offset / handmade.MS for offset in arrivals(level, schedule_seed(seed, level.index))]
    finished = run.pop("finished", 1e6)
    rows = [
        handmade.request(START_MS + at, lag=lag, warmup=at < level.warmup_s * 1000, level=level.index)
        for number, at in enumerate(offsets)
        if keep is None or keep(number)
    ]
    stored = handmade.run(level, **run)
    object.__setattr__(stored.spec, "seed", seed)
    requests = handmade.requests(*rows)
    found = summarise(
        stored,
        handmade.levels(level, started=START_MS, finished=finished),
        requests,
        handmade.gaps(requests),
    )
    return found.levels[0]


@pytest.mark.parametrize("arrival", ["poisson", "constant"])
@pytest.mark.parametrize("requests", [2, 12, 60])
def test_the_luck_of_a_schedule_is_no_fault(arrival: Any, requests: int) -> None:
    for seed in range(20):
        level = Level(2, rate=50.0, arrivals=arrival, requests=requests, warmup_s=0.02 if requests > 2 else 0)
        assert played(level, seed, lag=1.0).verdict == "VALID"


def test_missing_arrivals_are_dropped() -> None:
    level = Level(0, rate=50.0, arrivals="poisson", requests=60)
    found = played(level, 1, keep=lambda number: number not in (7, 30, 59))
    assert found.signs.planned
    assert (found.signs.planned.arrivals, found.signs.planned.missing) == (60, 3)
    assert "3 planned arrivals dropped, limit 0" in found.reasons
    assert found.verdict == "INVALID"


def test_an_interrupted_schedule_is_cut_and_what_was_played_is_judged() -> None:
    level = Level(0, rate=50.0, arrivals="poisson", duration_s=2.0)
    found = played(level, 1, keep=lambda number: number < 40, state="interrupted", finished=None)
    assert found.verdict == "SUSPECT"
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith("schedule cut: ")


def test_what_a_lost_load_worker_left_out_is_cut() -> None:
    note = "load worker 1 was lost during the run (signal 9): what it had finished is kept"
    level = Level(0, rate=50.0, arrivals="constant", requests=60)
    found = played(level, 1, keep=lambda number: number < 40 or number % 2, notes=[note])
    assert found.verdict == "SUSPECT"
    assert "schedule cut: 10 of 60 planned arrivals never sent, limit 0" in found.reasons


def test_a_run_still_going_is_not_held_against_its_end() -> None:
    level = Level(0, rate=50.0, arrivals="poisson", duration_s=2.0)
    found = played(level, 1, keep=lambda number: number < 40, state="running", finished=None)
    assert found.verdict == "VALID"


def test_where_there_is_no_schedule_there_is_nothing_to_compare() -> None:
    rows = handmade.requests(handmade.request())
    gone = Level(0, rate=1.0, arrivals="trace", trace="/nowhere/trace.jsonl")
    assert planned(rows, gone, 1, 0.0) is None
    assert planned(rows, Level(0, users=8, requests=5), 1, 0.0) is None
    assert planned(rows, Level(0, rate=1.0, arrivals="poisson"), 1, 0.0) is None
    assert planned(rows, Level(0, rate=1.0, arrivals="poisson", requests=1), 1, None) is None
    assert planned(pd.DataFrame(rows[:0]), Level(0, rate=1.0, requests=1), 1, 0.0) is None
