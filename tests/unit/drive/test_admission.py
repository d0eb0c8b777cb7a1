from itertools import pairwise

import pytest

from loadlab.core.clock import now_ns
from loadlab.core.nouns import Exchange, Level
from loadlab.drive.admission import Admission, share_of


def finished(admission: Admission, status: int = 200) -> None:
    admission.leave(Exchange(0, 0, 0, 0, status=status))


def test_a_share_is_handed_out_exactly() -> None:
    admission = Admission(Level(0, users=2, requests=2), now_ns(), 2)
    assert admission.open
    admission.enter()
    admission.enter()
    assert not admission.open
    assert not admission.over
    finished(admission)
    finished(admission, 500)
    assert admission.over
    assert (admission.sent, admission.done, admission.failed) == (2, 2, 1)


def test_the_deadline_closes_a_closed_loop_only() -> None:
    long_ago = now_ns() - 10**12
    assert not Admission(Level(0, users=1, duration_s=1.0), long_ago, None).open
    assert Admission(Level(0, rate=1.0, arrivals="poisson", duration_s=1.0), long_ago, None).open


def test_draining_waits_for_what_is_in_flight() -> None:
    admission = Admission(Level(0, users=1, requests=9), now_ns(), 9)
    admission.enter()
    admission.drain()
    assert (admission.open, admission.over) == (False, False)
    finished(admission)
    assert admission.over


def test_the_warm_up_is_told_by_the_planned_time() -> None:
    admission = Admission(Level(0, users=1, duration_s=9.0, warmup_s=1.0), 0, None)
    assert admission.warming(10**9 - 1)
    assert not admission.warming(10**9)


@pytest.mark.parametrize(("total", "count"), [(96, 1), (97, 4), (3, 4), (0, 2)])
def test_shares_add_up_and_are_even(total: int, count: int) -> None:
    shares = [share_of(total, index, count) or 0 for index in range(count)]
    assert sum(shares) == total
    assert all(0 <= a - b <= 1 for a, b in pairwise(shares))


def test_no_total_has_no_share() -> None:
    assert share_of(None, 0, 2) is None
