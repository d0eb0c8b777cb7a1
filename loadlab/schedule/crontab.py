"""Cron expressions as cron itself means them: five fields, Sunday is 0 or 7, two restricted days are an "or".

In scope: what an expression says. When that is next, and how other systems write it, is said elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadlab.core.errors import UsageError

MACROS = {
    "@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *",
}  # fmt: skip
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = dict(
    zip("jan feb mar apr may jun jul aug sep oct nov dec".split(), range(1, 13), strict=True)  # noqa: SIM905
)
_DAYS = {name: number for number, name in enumerate(WEEKDAYS)}
_FIELDS: tuple[tuple[str, int, int, Mapping[str, int]], ...] = (
    ("minute", 0, 59, {}), ("hour", 0, 23, {}), ("day of month", 1, 31, {}), ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)  # fmt: skip
_ITEM = re.compile(r"(?:(\*)|(\w+)(?:-(\w+))?)(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class Cron:
    """An expression read: `text` has five fields; None stands for every one. Sunday is weekday 0."""

    text: str
    minutes: tuple[int, ...] | None
    hours: tuple[int, ...] | None
    days: tuple[int, ...] | None
    months: tuple[int, ...] | None
    weekdays: tuple[int, ...] | None

    @property
    def either_day(self) -> bool:
        """Whether both days are restricted: then cron fires on either of them."""
        return self.days is not None and self.weekdays is not None


def parse(text: str) -> Cron:
    """The expression, or one of the names such as @daily. Raises UsageError with the field at fault."""
    plain = MACROS.get(text.strip().lower(), text)
    words = plain.split()
    if len(words) != len(_FIELDS):
        known = ", ".join(MACROS)
        raise UsageError(
            f"cron '{text}' has {len(words)} fields and needs 5: minute, hour, day of month, month, "
            f"day of week, such as '30 3 * * 1-5'; or one of {known}."
        )
    minutes, hours, days, months, weekdays = (
        _values(text, word, *field) for word, field in zip(words, _FIELDS, strict=True)
    )
    folded = None if weekdays is None else tuple(sorted({day % 7 for day in weekdays}))
    if days and folded and "*" in words[2] + words[4]:
        raise UsageError(
            f"cron '{text}': cron programs disagree on a step of every day beside a restricted other day; "
            "write the days out, such as 1-31/2."
        )
    return Cron(" ".join(words), minutes, hours, days, months, folded)


def _values(
    text: str, word: str, name: str, low: int, high: int, names: Mapping[str, int]
) -> tuple[int, ...] | None:
    """The numbers of a field; None for every one."""
    if word == "*":
        return None
    found = {value for item in word.split(",") for value in _item(text, item, name, low, high, names)}
    return tuple(sorted(found))


def _item(text: str, item: str, name: str, low: int, high: int, names: Mapping[str, int]) -> Sequence[int]:
    match = _ITEM.fullmatch(item)
    try:
        if match is None:
            raise ValueError
        star, first, last, step = match.groups()
        begin = low if star else _number(first, names)
        end = high - (high == 7) if star else _number(last, names) if last else high if step else begin
        if high == 7 and end == 0 < begin:  # Friday to Sunday
            end = 7
        span = range(begin, end + 1, int(step or 1))
    except ValueError:
        span = range(0)
    if not span or span[0] < low or span[-1] > high:
        raise UsageError(
            f"cron '{text}': '{item}' is no {name}; use numbers from {low} to {high}"
            f"{f' or {chr(44).join(names)}' if names else ''}, lists, ranges and steps."
        )
    return span


def _number(word: str, names: Mapping[str, int]) -> int:
    return names[word.lower()] if word.lower() in names else int(word)
