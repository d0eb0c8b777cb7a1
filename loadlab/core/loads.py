"""Loads as people write them: 1,2,4 · 1..8 · 10..100:10 · 1..128:x2 · 1..64/8. docs/sweep.md shows them.

Knows numbers. What a load is made of is not its business.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from loadlab.core.errors import UsageError

MOST = 100
_NUMBER = r"\d+(?:\.\d+)?|\.\d+"
_RANGE = re.compile(
    rf"(?P<first>{_NUMBER})\.\.(?P<last>{_NUMBER})(?:(?P<how>:x?|/)(?P<by>{_NUMBER}))?", re.IGNORECASE
)
_DIGITS = 9  # 0.1 + 0.2 is 0.3 to whoever wrote the range
_FORMS = "1,2,4 or 1..8, 10..100:10 (steps of 10), 1..128:x2 (doubled), 1..64/8 (8 levels in equal ratios)"


def parse(flag: str, text: str, *, whole: bool = False) -> list[float]:
    """The loads of a flag in the order written; `whole` rounds those of equal ratios. Raises UsageError."""
    found = [load for part in text.split(",") for load in _part(flag, part.strip(), whole)]
    if whole and (odd := [load for load in found if load != int(load)]):
        raise UsageError(f"--{flag} {odd[0]:g} must be a whole number.")
    if twice := [load for load in found if found.count(load) > 1]:
        raise UsageError(f"--{flag} '{text}' has {twice[0]:g} twice; --repeat 2 measures every load twice.")
    return found


def _part(flag: str, text: str, whole: bool) -> list[float]:
    try:
        return [float(text)]
    except ValueError:
        pass
    if not (found := _RANGE.fullmatch(text)):
        raise UsageError(f"--{flag} '{text}' is no load; write loads like {_FORMS}.")
    first, last, by = float(found["first"]), float(found["last"]), float(found["by"] or 1)
    if last < first:
        raise UsageError(f"--{flag} {text} goes down; write {found['last']}..{found['first']}.")
    loads = _ratios(flag, text, first, last, by) if found["how"] == "/" else _steps(flag, text, found["how"],
        first, last, by)  # fmt: skip
    return list(
        dict.fromkeys(float(round(load)) if whole and found["how"] == "/" else load for load in loads)
    )


def _ratios(flag: str, text: str, first: float, last: float, count: float) -> list[float]:
    """So many loads, each the same factor above the one before, both ends among them."""
    if count != int(count) or not 2 <= count <= MOST or first <= 0:
        raise UsageError(f"--{flag} {text}: after the / stands how many levels, 2 to {MOST}; begin above 0.")
    factor = (last / first) ** (1 / (count - 1))
    return [_tidy(first * factor**at) for at in range(int(count))]


def _steps(flag: str, text: str, how: str | None, first: float, last: float, by: float) -> list[float]:
    """First, and on as long as a step does not lead beyond last."""
    grows = (how or "").lower() == ":x"
    if by <= 0 or (grows and (by <= 1 or first <= 0)):
        raise UsageError(f"--{flag} {text} goes nowhere: a step is above 0; a factor above 1, from above 0.")
    count = math.log(last / first) / math.log(by) if grows else (last - first) / by
    if count >= MOST:
        raise UsageError(f"--{flag} {text} asks for {int(count) + 1:,} levels; at most {MOST} are a sweep.")
    return list(_stepped(first, by, int(count + 1e-9), grows=grows))


def _stepped(first: float, by: float, count: int, *, grows: bool) -> Iterator[float]:
    for at in range(count + 1):
        yield _tidy(first * by**at if grows else first + by * at)


def _tidy(load: float) -> float:
    return float(f"{load:.{_DIGITS}g}")
