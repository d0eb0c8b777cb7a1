"""Files that go into a browser as they are: plotly.js, and what a self-contained document needs beside it."""

from __future__ import annotations

from importlib.resources import files

BUNDLE = "plotly-cartesian.min.js"


def text(name: str) -> str:
    """The file of that name."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
