"""The web pages over a store: they read and draw, never measure.

Imports inside are relative: the package is `dashboard` in a checkout and `loadlab.dashboard` in a wheel.
"""

from __future__ import annotations

from .access import Access
from .app import create_app

__all__ = ["Access", "create_app"]
