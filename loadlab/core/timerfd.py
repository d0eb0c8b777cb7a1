"""A Linux timerfd: becomes readable at an exact instant.

epoll rounds its timeout up to whole milliseconds, so an event loop's own timers are late by half a
millisecond on average; a timerfd is not. Python has them from 3.13 on; here they come through ctypes.
"""

from __future__ import annotations

import ctypes
import os
import sys

from loadlab.core.units import NS_PER_S

AVAILABLE = sys.platform == "linux"
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1
_FLAGS = 0o4000 | 0o2000000  # TFD_NONBLOCK | TFD_CLOEXEC


class _Spec(ctypes.Structure):
    """struct itimerspec: interval, then the instant of the first expiry."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns")]


class TimerFd:
    """A descriptor that is readable from the set instant on, until cleared. OSError when out of them."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def fileno(self) -> int:
        """The descriptor to watch."""
        return int(self._fd)

    def set(self, at_ns: int) -> None:
        """Rings at `at_ns` on `core.clock`; replaces an earlier setting."""
        at = _Spec(0, 0, *divmod(max(1, at_ns), NS_PER_S))
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(at), None)

    def clear(self) -> bool:
        """Makes it unreadable again; False when it had not rung (it was set anew in between)."""
        try:
            return bool(os.read(self._fd, 8))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Never rings again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
