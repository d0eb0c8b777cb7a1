"""Writes docs/cli.md from the command line itself, so that the page cannot miss a verb or a flag."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from loadlab.cli.app import app

PAGE = Path(__file__).resolve().parent.parent / "docs/cli.md"
HEAD = """\
# Command line

Written by `make docs` from the program itself; do not edit.

Data goes to stdout, progress and errors to stderr. With `--json`, stdout is one document with a `"schema"`
number. Exit codes and error kinds: [errors.md](errors.md).
"""


def page() -> str:
    """The whole page."""
    root = typer.main.get_command(app)
    return "\n".join([HEAD, *(line for verb in _verbs(root, "loadlab") for line in verb)])


def _verbs(group: Any, path: str) -> Iterator[list[str]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _verbs(command, f"{path} {name}")
        else:
            yield _verb(f"{path} {name}", command)


def _verb(path: str, command: Any) -> list[str]:
    context = command.make_context(path, [], resilient_parsing=True)
    usage = " ".join(command.collect_usage_pieces(context))
    records = (param.get_help_record(context) for param in command.params)
    rows = [f"| `{_plain(names)}` | {_plain(text)} |" for names, text in filter(None, records)]
    return [
        f"## {path}",
        "",
        _plain(command.help),
        "",
        f"    {path} {usage}",
        "",
        "| | |",
        "|---|---|",
        *rows,
        "",
    ]


def _plain(text: str | None) -> str:
    return re.sub(r"\s+", " ", text or "").replace("|", "\\|").strip()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
