"""Several processes on one database: a killed writer, a reader beside a writer, a crowd at the door."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from loadlab import store

WRITER = """
import sys
from loadlab import store
from loadlab.core.nouns import Endpoint, Level, Result, Run

opened = store.open(sys.argv[1])
opened.begin_run(Run("r", "chat", "", Endpoint("http://x", "m"), (Level(0, users=1),), 1, 60.0, 0, 1))
unknown = dict.fromkeys(Result.__dataclass_fields__)
for batch in range(10**6):
    results = [
        Result(**{**unknown, "level": 0, "worker": 0, "seq": batch * 50 + i, "warmup": False, "planned_ns": 0,
                  "connect_ns": 0, "tls_ns": 0, "reused": False, "retries": 0, "max_tokens": 1, "chunks": 2,
                  "arrivals_ns": [5, 10], "queued_ns": 0, "route": 0})
        for i in range(50)
    ]
    opened.write("r", results, [])
    print(batch, flush=True)
"""
OPENER = "import sys; from loadlab import store; print(store.open(sys.argv[1]).info()['revision'])"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest) -> str:
    name = "sqlite_url" if request.param == "sqlite" else "empty_postgres_url"
    found: str = request.getfixturevalue(name)
    return found


def test_kill_9_of_a_writer_loses_no_committed_row(url: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(5):
        assert writer.stdout.readline()
    time.sleep(0.1)  # so that the blow falls somewhere inside a later batch
    writer.send_signal(signal.SIGKILL)
    acknowledged = 5 + len(writer.stdout.read().splitlines())
    writer.stdout.close()
    writer.wait()
    with store.open(url, create=False) as opened:
        rows = len(opened.requests("r"))
        assert rows % 50 == 0  # a batch is there whole or not at all
        assert rows // 50 in (acknowledged, acknowledged + 1)  # the last word may have died in the pipe
        assert len(opened.gaps("r")) == rows


def test_a_reader_sees_what_a_living_writer_committed(url: str) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    try:
        writer.stdout.readline()
        with store.open(url, create=False) as opened:
            assert len(opened.requests("r")) >= 50
            acknowledged = [writer.stdout.readline() for _ in range(20)][-1]
            assert len(opened.requests("r")) >= 50 * int(acknowledged)
            assert opened.runs()["state"].tolist() == ["running"]
    finally:
        writer.kill()
        writer.stdout.close()
        writer.wait()


def test_processes_opening_an_empty_database_together_agree(url: str) -> None:
    crowd = [
        subprocess.Popen([sys.executable, "-c", OPENER, url], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    assert [process.communicate()[0].strip() for process in crowd] == ["0001"] * 4
