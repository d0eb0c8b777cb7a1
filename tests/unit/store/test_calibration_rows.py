"""Calibrations come back to the load host and version they were made on, the newest of each load."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from loadlab.core.nouns import Run
from loadlab.store import Store, schema
from loadlab.store.url import parse

HERE = {
    "loadlab": "0.1.0",
    "python": "3.11.7",
    "platform": "Linux-6.1",
    "machine": "x86_64",
    "cpu": "EPYC",
    "cpus": 2,
}


def measured(streams: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "processes": 1, "streams": streams, "tokens_per_s": 100.0, "requests": 500, "tokens": 50_000,
        "ttft_p50_ms": 0.4, "ttft_p99_ms": 4.0, "itl_p50_ms": -0.01, "itl_p99_ms": 2.0,
        "send_lag_p99_ms": None, "cpu_us_per_token": 8.5, "server_late_p99_ms": 1.5, **changes,
    }  # fmt: skip


def test_the_newest_of_each_load_in_order(opened: Store) -> None:
    for streams, error in ((100, 0.9), (1, 0.1), (100, 0.4)):
        opened.add_calibration(None, HERE, measured(streams, ttft_p50_ms=error))
    opened.add_calibration(None, HERE, measured(1, processes=2))
    found = opened.calibration({**HERE, "versions": {"locust": "2"}})
    assert found[["processes", "streams"]].values.tolist() == [[1, 1], [1, 100], [2, 1]]
    assert found["ttft_p50_ms"].tolist() == [0.1, 0.4, 0.4]
    assert found["send_lag_p99_ms"].isna().all()
    assert (found["calibrated_at_ns"] > 1_700_000_000_000_000_000).all()


@pytest.mark.parametrize(
    ("name", "other"), [*((name, "other") for name in HERE if name != "cpus"), ("cpus", 4)]
)
def test_another_load_host_or_version_is_not_calibrated(opened: Store, name: str, other: Any) -> None:
    opened.add_calibration(None, HERE, measured())
    assert len(opened.calibration(HERE)) == 1
    assert opened.calibration({**HERE, name: other}).empty
    assert opened.calibration({}).empty


def test_a_calibration_outlives_its_run(
    opened: Store, database_url: str, make_run: Callable[..., Run]
) -> None:
    opened.begin_run(make_run())
    opened.add_calibration("run-a", HERE, measured())
    assert opened.calibration(HERE)["run_id"].tolist() == ["run-a"]
    database = sa.create_engine(parse(database_url))
    with database.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        connection.execute(schema.run.delete())
    database.dispose()
    assert opened.calibration(HERE)["run_id"].isna().all()
