"""Finds what a name stands for: built-ins from a literal table, outsiders by entry point `loadlab.<room>`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from loadlab.core.errors import UnknownNameError


def find(room: str, kind: str, name: str, table: Mapping[str, str]) -> Any:
    """The object named `name`; `table` maps built-in names to "module:attribute".

    Raises UnknownNameError with the nearest known name.
    """
    outsiders = {point.name: point.value for point in entry_points(group=f"loadlab.{room}")}
    known = {**outsiders, **table}
    if name not in known:
        raise UnknownNameError(kind, name, known)
    module, _, attribute = known[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def beside(package: str) -> ModuleType:
    """`scenarios` or `dashboard`: inside `loadlab` when installed from the wheel, beside it in a checkout."""
    try:
        return importlib.import_module(f"loadlab.{package}")
    except ModuleNotFoundError as missing:
        if missing.name != f"loadlab.{package}":
            raise
        return importlib.import_module(package)
