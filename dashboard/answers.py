"""The sentences that stand on top of pages; reports have the same."""

from __future__ import annotations

from loadlab.figures.answers import Held, Row, answer, by_load, figure_words, held

__all__ = ["Held", "Row", "answer", "by_load", "figure_words", "held"]
