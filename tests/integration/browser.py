"""A file opened in a real browser, and all that the browser complained about or asked of others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def opened(browser: Any, file: Path, theme: str = "light", **context: Any) -> Iterator[tuple[Any, list[str]]]:
    """The page of a file (file://) and the list of complaints, which grows while the page is used."""
    complaints: list[str] = []
    page = browser.new_page(color_scheme=theme, **context)
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    address = file.resolve().as_uri()
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((address, "data:", "blob:"))
            else complaints.append(f"asked {request.url}")
        ),
    )
    page.goto(address)
    try:
        yield page, complaints
    finally:
        page.close()
