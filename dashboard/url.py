"""The query string, both ways. Unknown keys are ignored, empty values are left out."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode


def read(search: str | None) -> dict[str, str]:
    """The parameters of "?a=1&b=2"; of a repeated one the last counts."""
    return dict(parse_qsl((search or "").removeprefix("?")))


def write(query: Mapping[str, str | None]) -> str:
    """The inverse of `read`, in the order given; "" when nothing is left."""
    text = urlencode({key: value for key, value in query.items() if value}, safe=",:")
    return f"?{text}" if text else ""


def names(text: str | None) -> list[str]:
    """The parts of "a,b,c", each once, in order."""
    return list(dict.fromkeys(part for part in (text or "").split(",") if part))
