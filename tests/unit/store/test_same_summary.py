"""The database is no part of the measurement: both give the same summary, to the last digit."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from loadlab import analysis, store
from loadlab.core.nouns import Level, Reading, Result, Run
from loadlab.reports.as_json import document

START, MS = 5_000_000_000_000, 1_000_000


def requests(make_result: Callable[..., Result]) -> list[Result]:
    """Three hundred requests of two levels, some failed, with times drawn from one seed."""
    chance = random.Random(4)
    results = []
    for seq in range(300):
        sent = START + seq * 7 * MS
        arrivals = [
            sent + round((50 + 10 * i) * MS * chance.uniform(0.9, 1.4)) for i in range(chance.randint(2, 30))
        ]
        arrivals.sort()
        failed = chance.random() < 0.05
        results.append(
            make_result(
                seq=seq, level=seq % 2, planned_ns=sent - MS // 10, sent_ns=sent, arrivals_ns=arrivals,
                first_token_ns=arrivals[0], last_token_ns=arrivals[-1], done_ns=arrivals[-1] + MS,
                output_tokens=len(arrivals), chunks=len(arrivals), error_kind="reset" if failed else None,
            )
        )  # fmt: skip
    return results


def summary(url: str, run: Run, results: list[Result]) -> dict[str, Any]:
    """The JSON document of the run, recorded in batches into that database."""
    readings = [
        Reading(START + i * 100 * MS, "generator", "worker0", "hub_stall_ms", i / 3) for i in range(20)
    ]
    with store.open(url) as database:
        database.begin_run(run)
        for level in run.levels:
            database.begin_level(run.id, level, START)
        for first in range(0, len(results), 70):
            database.write(run.id, results[first : first + 70], readings if first == 0 else [])
        for level in run.levels:
            database.finish_level(run.id, level.index, START + 4_000 * MS)
        database.finish_run(run.id, "finished", ["a note"])
        found = document(analysis.summary_of(database, run.id))
    found["run"].pop("finished_at")
    return found


@pytest.mark.postgres
def test_both_databases_give_the_same_summary(
    sqlite_url: str,
    empty_postgres_url: str,
    make_run: Callable[..., Run],
    make_result: Callable[..., Result],
) -> None:
    run = make_run(
        levels=(Level(0, users=2, requests=150), Level(1, rate=5.0, arrivals="poisson", duration_s=3.0))
    )
    results = requests(make_result)
    one, other = (summary(url, run, results) for url in (sqlite_url, empty_postgres_url))
    assert one == other
    assert sum(level["requests"]["ok"] for level in one["levels"]) > 250
    assert one["levels"][0]["metrics"]["itl_ms"]["n"] > 1000
