"""A gate on GitHub: the step's summary and outputs, few annotations, a comment that replaces the last."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.gate import About, markdown, worst_first

MOST_ANNOTATIONS = 8
MOST_BYTES = 200_000
_COMMANDS = {"FAIL": "error", "INVALID": "warning", "INCONCLUSIVE": "warning"}


def marker(about: About) -> str:
    """The invisible line by which a later comment finds this one."""
    return f"<!-- loadlab gate {''.join(letter for letter in about.scenario if letter.isalnum())} -->"


def comment(found: Judgement, about: About) -> str:
    """Markdown for a pull request, below the marker; never longer than a summary may be."""
    text = f"{marker(about)}\n{markdown(found, about)}"
    if len(text.encode()) <= MOST_BYTES:
        return text
    cut = text.encode()[:MOST_BYTES].decode(errors="ignore").rpartition("\n")[0]
    folded = "\n\n</details>" if cut.count("<details>") > cut.count("</details>") else ""
    return f"{cut}{folded}\n\n… cut at {MOST_BYTES:,} bytes; the JSON report has all of it.\n"


def told(found: Judgement, about: About) -> list[str]:
    """Workflow commands, worst first; GitHub shows ten per step."""
    bad = [check for check in worst_first(found.checks) if check.outcome in _COMMANDS]
    lines = [_command("warning", "loadlab: the measurement is INVALID", text) for text in found.invalid]
    lines += [_annotation(check, about) for check in bad]
    if found.outcome == "FAIL":  # then what broke comes before what is in doubt
        lines.sort(key=lambda line: not line.startswith("::error"))
    return lines[:MOST_ANNOTATIONS]


def _annotation(check: Check, about: About) -> str:
    words = f"{check.words} [{check.limit}]; again: {about.reproduce}"
    return _command(_COMMANDS[check.outcome], f"loadlab: {check.outcome} {check.rule}", words)


def _command(kind: str, title: str, words: str) -> str:
    return f"::{kind} title={_escaped(title, ':,')}::{_escaped(words)}"


def _escaped(text: str, more: Iterable[str] = ()) -> str:
    """As workflow commands want it; a server's words must not become a command."""
    for letter in ("%", "\r", "\n", *more):
        text = text.replace(letter, f"%{ord(letter):02X}")
    return text


def tell(found: Judgement, about: About, log: TextIO) -> None:
    """Inside a GitHub workflow: annotations into the log, summary and outputs into their files."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in told(found, about):
        print(line, file=log, flush=True)
    if place := os.environ.get("GITHUB_STEP_SUMMARY"):
        with Path(place).open("a", encoding="utf-8") as summary:
            summary.write(comment(found, about))
    if place := os.environ.get("GITHUB_OUTPUT"):
        with Path(place).open("a", encoding="utf-8") as outputs:
            outputs.write(f"outcome={found.outcome}\ngate={about.id}\n")
