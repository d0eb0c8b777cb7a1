"""Waiting on gevent's hub until an exact instant, by a timerfd where there is one."""

from __future__ import annotations

import gevent
from gevent.socket import wait_read

from loadlab.core.clock import now_ns
from loadlab.core.timerfd import AVAILABLE, TimerFd
from loadlab.core.units import NS_PER_S


class Waiter:
    """Waits for one greenlet. Close it when done."""

    def __init__(self) -> None:
        self._timer = TimerFd() if AVAILABLE else None

    def until(self, due_ns: int) -> None:
        """Returns at `due_ns` on `core.clock` or, when that is past, at once."""
        while (left := due_ns - now_ns()) > 0:
            if self._timer is None:
                gevent.sleep(left / NS_PER_S)
            else:
                self._timer.set(due_ns)
                wait_read(self._timer.fileno())
                self._timer.clear()

    def close(self) -> None:
        """Gives its descriptor back."""
        if self._timer:
            self._timer.close()
