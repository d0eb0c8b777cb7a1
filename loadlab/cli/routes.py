"""`--route NAME=TARGET`: the other endpoints of a run, looked at and priced like its own."""

from __future__ import annotations

from collections.abc import Sequence

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Route


def routes(given: Sequence[str] | None) -> tuple[Route, ...]:
    """The routes that the flags name, in their order. Raises UsageError or TargetError."""
    found = tuple(_route(text) for text in given or ())
    names = [route.name for route in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UsageError(f"--route {min(twice)} is given twice; give each route a name of its own.")
    return found


def _route(text: str) -> Route:
    from loadlab import dialects, pricing
    from loadlab.cli.run import endpoint, override
    from loadlab.drive import preflight
    from loadlab.wire.auth import signer_of

    name, equals, target = text.partition("=")
    if not (name and equals and target):
        raise UsageError(f"--route '{text}' is not understood; write it like small=TARGET of loadlab.toml.")
    where = override(endpoint(None, target))
    dialects.get(where.dialect)
    where = preflight.check(where, signer_of(where))
    price, unpriced = pricing.resolve(None, where)
    return Route(name, where, price, unpriced)
