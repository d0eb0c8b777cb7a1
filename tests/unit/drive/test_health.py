import time

import gevent

from loadlab.core.nouns import Reading
from loadlab.drive.health import Health


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def stalls(work: float, *, restart: bool) -> list[float]:
    """The stalls that are read when the hub is busy for `work` seconds."""
    readings: list[Reading] = []
    health = Health("worker0", readings.extend)
    watcher = gevent.spawn(health.watch)
    gevent.sleep(0.05)
    busy(work)
    if restart:
        health.restart()
    gevent.sleep(0.7)
    watcher.kill()
    assert {reading.metric for reading in readings} == {"hub_stall_ms", "cpu_percent"}
    return [reading.value for reading in readings if reading.metric == "hub_stall_ms"]


def test_a_blocked_hub_is_read() -> None:
    assert max(stalls(0.3, restart=False)) >= 280


def test_what_was_before_a_restart_is_forgotten() -> None:
    assert max(stalls(0.3, restart=True)) < 280
