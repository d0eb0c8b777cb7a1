"""A gate as GitLab's metrics report: OpenMetrics text, compared with the target branch as strings.

Values have three significant digits, so that noise does not read as a change.
"""

from __future__ import annotations

from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.gate import About

_NUMBERS = {"PASS": 0, "FAIL": 1, "INCONCLUSIVE": 2, "INVALID": 3}


def render(found: Judgement, about: About) -> str:
    """A line per check that has a number, and the verdict: 0 PASS, 1 FAIL, 2 INCONCLUSIVE, 3 INVALID."""
    lines = [_line(check, about) for check in found.checks if check.value is not None]
    verdict = f'loadlab_gate{{scenario="{_quoted(about.scenario)}"}} {_NUMBERS[found.outcome]}'
    return "\n".join([*lines, verdict, "# EOF", ""])


def _line(check: Check, about: About) -> str:
    labels = {"scenario": about.scenario, "rule": check.rule, "unit": check.unit}
    written = ",".join(f'{name}="{_quoted(text)}"' for name, text in labels.items())
    return f"loadlab_gate_{check.kind}{{{written}}} {check.value:.3g}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")
