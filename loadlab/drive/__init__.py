"""Locust drives: users, arrivals, levels and the life of a run.

`StreamUser` is what a scenario subclasses. Importing it imports locust, which monkey-patches the process; the
rest of this room (`spec`, `preflight`, `lifecycle`) is the supervisor's and does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loadlab.drive.user import StreamUser

__all__ = ["StreamUser"]


def __getattr__(name: str) -> Any:
    if name == "StreamUser":
        from loadlab.drive.user import StreamUser

        return StreamUser
    raise AttributeError(f"module 'loadlab.drive' has no attribute '{name}'")
