"""Small texts that several pages share: outcomes with their icon, shares of counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dash import html

from loadlab.core.units import number

_ICONS = {"PASS": "✓", "FAIL": "✕", "INCONCLUSIVE": "?", "INVALID": "!", "INFO": "–"}
_CLASSES = {"PASS": "valid", "FAIL": "invalid", "INCONCLUSIVE": "suspect", "INVALID": "suspect"}
_JUDGED = {"better": "▲", "worse": "▼", "same": "=", "unclear": "?", "not comparable": "–"}


def outcome(word: str) -> html.Span:
    """A gate's outcome: icon and word, never colour alone."""
    return html.Span(
        f"{_ICONS.get(word, '–')} {word}", className=f"verdict verdict-{_CLASSES.get(word, 'none')}"
    )


def judged(word: str, doubt: bool = False) -> html.Span:
    """A comparison's verdict: icon and word; a doubtful one carries a star."""
    colour = {"better": "valid", "worse": "invalid"}.get(word, "none")
    return html.Span(
        f"{_JUDGED.get(word, '–')} {word}{' *' if doubt else ''}", className=f"verdict verdict-{colour}"
    )


def standing(run: Mapping[str, Any]) -> str | None:
    """What to say of a run in one word: its verdict once it has finished, else its state."""
    word = run["verdict"] if run["state"] == "finished" else run["state"]
    return word if isinstance(word, str) else None  # a frame has NaN where there is none


def share(part: int, whole: int) -> str:
    """ "5.0 % (1 of 20)", a dash of nothing."""
    return f"{number(100 * part / whole)} % ({part:,} of {whole:,})" if whole else "–"


def counted(n: int, word: str) -> str:
    """ "1 run", "3 runs"."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"
