"""Writes the generated parts of docs/metrics.md: `python -m loadlab.reports.docs docs/metrics.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loadlab.analysis.verdict import LEVEL_RULES, RUN_RULES, Rule
from loadlab.core.metrics import METRICS, Metric

BEGIN = "<!-- begin: written by python -m loadlab.reports.docs, do not edit -->"
RULES = "<!-- begin rules: written by python -m loadlab.reports.docs, do not edit -->"
END = "<!-- end -->"

_SAMPLE = {"request": "one per request", "gap": "one per gap between arrivals", "level": "one per level"}
_BETTER = {"lower": "lower is better", "higher": "higher is better", "neither": "neither is better"}


def metrics_section(metrics: Iterable[Metric] = METRICS.values()) -> str:
    """Every metric of the registry: formula, unit, what one sample is, and what it means."""
    return "\n".join(_entry(metric) for metric in metrics)


def _entry(metric: Metric) -> str:
    return (
        f"### `{metric.name}`: {metric.label}\n\n"
        f"    {metric.formula}\n\n"
        f"{metric.unit} · {_SAMPLE[metric.per]} · {_BETTER[metric.better]}\n\n"
        f"{metric.help}\n"
    )


def rules_section() -> str:
    """Every rule of the verdict as a table, INVALID first: what is looked at, the limit and the reason."""
    rules: list[Rule[Any]] = sorted([*LEVEL_RULES, *RUN_RULES], key=lambda rule: rule.verdict)
    rows = [f"| {rule.verdict} | {rule.what} | {rule.limit} | {rule.why} |" for rule in rules]
    return "\n".join(["| verdict | when | limit | why |", "|---|---|---|---|", *rows, ""])


def rewritten(page: str) -> str:
    """The page with what stands between its markers written afresh."""
    return _between(RULES, rules_section(), _between(BEGIN, metrics_section(), page))


def _between(begin: str, section: str, page: str) -> str:
    if begin not in page:
        return page
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{section}\n{END}{after}"


def main(file: Path) -> None:
    """Rewrites the file in place."""
    file.write_text(rewritten(file.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
