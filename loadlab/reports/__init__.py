"""A Summary as text, JSON or Markdown, and request rows as CSV.

In scope: words and layout. Out of scope: computing; every number comes from analysis as it is printed.
"""

from __future__ import annotations

from loadlab.analysis.nouns import Summary
from loadlab.core.finder import find

REPORTS = {
    "text": "loadlab.reports.text:render",
    "json": "loadlab.reports.as_json:render",
    "markdown": "loadlab.reports.markdown:render",
}


def render(name: str, summary: Summary) -> str:
    """The Summary as the report `name`, ending in a newline. Raises UnknownNameError."""
    rendered: str = find("reports", "report", name, REPORTS)(summary)
    return rendered
