"""Wakes the asyncio loop at an exact instant, by a timerfd where there is one, by `call_later` elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from loadlab.core.clock import now_ns
from loadlab.core.timerfd import AVAILABLE, TimerFd
from loadlab.core.units import NS_PER_S


class Alarm(Protocol):
    """Calls back once, at or just after the instant it was set to."""

    def set(self, at_ns: int) -> None:
        """Fires at `at_ns` on `core.clock`; replaces an earlier setting."""

    def close(self) -> None:
        """Never fires again."""


def alarm(callback: Callable[[], None]) -> Alarm:
    """The most exact alarm this system has, on the running loop."""
    loop = asyncio.get_running_loop()
    return _Exact(loop, callback) if AVAILABLE else _CallLater(loop, callback)


class _CallLater:
    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        self.close()
        self._handle = self._loop.call_later(max(0, at_ns - now_ns()) / NS_PER_S, self._callback)

    def close(self) -> None:
        if self._handle:
            self._handle.cancel()


class _Exact:
    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._timer = TimerFd()
        self.set = self._timer.set
        loop.add_reader(self._timer.fileno(), self._fire)

    def close(self) -> None:
        if self._timer.fileno() >= 0:
            self._loop.remove_reader(self._timer.fileno())
            self._timer.close()

    def _fire(self) -> None:
        if self._timer.clear():
            self._callback()
