import gevent

from loadlab.core.clock import now_ns
from loadlab.drive.punctual import Waiter


def test_it_never_returns_early_and_the_past_is_now() -> None:
    clock = Waiter()
    for wait_ns in (-1, 0, 200_000, 3_000_000, 1_500_000):
        due = now_ns() + wait_ns
        clock.until(due)
        assert now_ns() >= due
    clock.close()


def test_others_run_meanwhile() -> None:
    seen: list[str] = []
    other = gevent.spawn(seen.append, "other")
    clock = Waiter()
    clock.until(now_ns() + 5_000_000)
    clock.close()
    assert seen == ["other"]
    other.join()
