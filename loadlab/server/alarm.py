"""Wakes the event loop at an exact instant.

Knows one thing: epoll rounds its timeout up to whole milliseconds, so `loop.call_at` is late by half a
millisecond on average. A Linux timerfd is not. Elsewhere `call_later` must do.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from typing import Protocol

from loadlab.core.clock import now_ns
from loadlab.core.units import NS_PER_S

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = 0o4000 | 0o2000000  # TFD_NONBLOCK | TFD_CLOEXEC


class Alarm(Protocol):
    """Calls back once, at or just after the instant it was set to."""

    def set(self, at_ns: int) -> None:
        """Fires at `at_ns` on `core.clock`; replaces an earlier setting."""

    def close(self) -> None:
        """Never fires again."""


def alarm(callback: Callable[[], None]) -> Alarm:
    """The most exact alarm this system has, on the running loop."""
    loop = asyncio.get_running_loop()
    return _TimerFd(loop, callback) if sys.platform == "linux" else _CallLater(loop, callback)


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


class _Spec(ctypes.Structure):
    """struct itimerspec: interval, then the instant of the first expiry."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class _TimerFd:
    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        loop.add_reader(self._fd, self._fire)

    def set(self, at_ns: int) -> None:
        at = _Spec(0, 0, *divmod(max(1, at_ns), NS_PER_S))
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(at), None)

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fire(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:  # set anew between expiry and this call
            return
        self._callback()
