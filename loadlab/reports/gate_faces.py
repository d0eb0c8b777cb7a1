"""The reports of a gate that CI systems read, by name."""

from __future__ import annotations

import json

from loadlab.core.finder import find
from loadlab.gates.nouns import Judgement
from loadlab.reports.gate import SCHEMA, About, document

FACES = {
    "junit": "loadlab.reports.junit:render",
    "html": "loadlab.reports.gate_html:render",
    "markdown": "loadlab.reports.github:comment",
    "gitlab": "loadlab.reports.gitlab:render",
    "json": "loadlab.reports.gate_faces:as_json",
}


def known(name: str) -> None:
    """Raises UnknownNameError for a report that there is not."""
    find("gate_reports", "report of a gate", name, FACES)


def render(name: str, found: Judgement, about: About) -> str:
    """The judgement as that report, ending in a newline."""
    rendered: str = find("gate_reports", "report of a gate", name, FACES)(found, about)
    return rendered


def as_json(found: Judgement, about: About) -> str:
    """What --json prints."""
    return json.dumps({"schema": SCHEMA, **document(found, about)}, indent=2, allow_nan=False) + "\n"
