"""Verbs with the flags of another: what they leave out, what they add, and how a command is written down."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

Verb = TypeVar("Verb", bound=Callable[..., None])


def like(other: Callable[..., None], *, without: Sequence[str] = ()) -> Callable[[Verb], Verb]:
    """Gives a verb the flags of `other` too: its own come first and win. It is called with all of them."""

    def with_flags(verb: Verb) -> Verb:
        own = [each for each in _parameters(verb) if each.kind is not each.VAR_KEYWORD]
        named = {each.name for each in own} | set(without)
        others = [each for each in _parameters(other) if each.name not in named]
        every = sorted((*own, *others), key=lambda each: each.name in ("db", "json"))
        verb.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        verb.__annotations__ = {each.name: each.annotation for each in every}
        return verb

    return with_flags


def _parameters(verb: Callable[..., None]) -> list[inspect.Parameter]:
    return list(inspect.signature(verb, eval_str=True).parameters.values())


def changed(verb: Callable[..., None], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given otherwise than by default."""
    return {
        each.name: given[each.name]
        for each in inspect.signature(verb).parameters.values()
        if given[each.name] != each.default
    }


def command(verb: Callable[..., None], given: Mapping[str, Any], **instead: Any) -> str:
    """The command line that gives the same; `instead` replaces what was given."""
    words = ["loadlab", verb.__name__]
    for name, value in changed(verb, {**given, **instead}).items():
        words += [str(value)] if name == "scenario" else _words(name, value)
    return shlex.join(words)


def _words(name: str, value: Any) -> Iterator[str]:
    flag = f"--{name.rstrip('_').replace('_', '-')}"
    if isinstance(value, bool):
        yield flag if value else flag.replace("--", "--no-", 1)
    elif isinstance(value, list):
        yield from (word for each in value for word in (flag, str(each)))
    else:
        yield from (flag, str(value))
