"""False alarms of a gate as text: per rule how often, how sure that is, and what the rule can find."""

from __future__ import annotations

from collections.abc import Sequence

from loadlab.gates.same import Tally

_HEAD = f"{'rule':<24} {'gates':>6} {'false':>6} {'95 % interval':>16} {'open':>6} {'finds':>8}"


def render(gates: int, found: Sequence[Tally]) -> str:
    """A line per rule."""
    lines = [f"{gates} gates of a server against itself", "", _HEAD, *map(_line, found)]
    return "\n".join(lines) + "\n"


def _line(each: Tally) -> str:
    finds = "–" if each.finds is None else f"+{each.finds:.1%}"
    span = f"{each.low:.1%} … {each.high:.1%}"
    line = f"{each.rule:<24} {each.n:>6} {each.failed:>6} {span:>16} {each.open:>6} {finds:>8}"
    return f"{line}  demoted" if each.demoted else line
