"""`GET` and `PATCH /config`: what the server is set to, and switching it while it runs.

The HTTP side's own are `controls`; everything else belongs to the engines, which say what they know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loadlab.core.errors import UnknownNameError
from loadlab.server import controls
from loadlab.server.bodies import ApiError, Document
from loadlab.server.controls import Controls
from loadlab.server.job import Engine


class Config:
    """The settings of all engines and of the HTTP side as one document."""

    def __init__(self, engines: Sequence[Engine], own: Controls) -> None:
        self._engines, self._own = engines, own

    def document(self) -> dict[str, Any]:
        """Every setting and its value: the server's own, and each model's."""
        return {
            "server": self._own.document(),
            "models": {engine.model: engine.settings() for engine in self._engines},
        }

    async def change(self, changes: Document) -> None:
        """Puts all changes into force, or none. Raises ApiError or EngineError in words."""
        own = {name: value for name, value in changes.items() if name in controls.NAMES}
        others = {name: value for name, value in changes.items() if name not in own}
        self._own.check(own)
        self._check_known(others)
        for engine in self._engines:
            if asked := {name: value for name, value in others.items() if name in engine.settings()}:
                await engine.configure(asked)
        self._own.set(own)

    def _check_known(self, changes: Document) -> None:
        known = {*controls.NAMES, *(name for engine in self._engines for name in engine.settings())}
        for name in changes:
            if name not in known:
                raise ApiError(404, str(UnknownNameError("setting", name, sorted(known))), name)
