"""Where a report goes: the flags of every `loadlab report …`, and what they do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from loadlab.cli.output import say
from loadlab.core.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from loadlab.reports.report import Report

Html = Annotated[
    Path | None, typer.Option(help="Write one self-contained HTML file, readable offline.", metavar="FILE")
]
Markdown = Annotated[
    Path | None,
    typer.Option(help="Write Markdown; - is stdout, the default without any other.", metavar="FILE"),
]
ThemeName = Annotated[str, typer.Option("--theme", help="Of the HTML: auto (the reader's), light or dark.")]
THEMES = ("auto", "light", "dark")


def deliver(
    report: Report, html: Path | None, markdown: Path | None, json: bool, theme: str = "auto"
) -> None:
    """Writes the files that were asked for; JSON, or Markdown where nothing was asked for, to stdout.

    Raises UsageError for a file that cannot be written or a theme that is none.
    """
    if theme not in THEMES:
        raise UnknownNameError("theme", theme, THEMES)
    if markdown == Path("-") and json:
        raise UsageError("--markdown - and --json both want stdout: give one of them a file.")
    if html:
        _write(html, report.html(cast(Any, theme)))
    if markdown and markdown != Path("-"):
        _write(markdown, report.markdown())
    if json:
        sys.stdout.write(report.json())
    elif markdown == Path("-") or not (html or markdown):
        sys.stdout.write(report.markdown())


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write '{file}': {error.strerror}. Choose another place.") from error
    say(f"wrote {file} ({len(text.encode()) / 1e6:.2f} MB)")
