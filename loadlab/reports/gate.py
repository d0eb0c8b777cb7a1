"""A judged gate as text, Markdown and JSON. Each face of CI is a file of its own beside this one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from loadlab.core.units import number
from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.text import labelled

ORDER = ("FAIL", "INVALID", "INCONCLUSIVE", "PASS", "INFO")
KINDS = {"slo": "absolute", "regress": "against the base", "errors": "failures", "inform": "for information"}
SCHEMA = 1


@dataclass(frozen=True, slots=True)
class About:
    """What a judgement is of. `reproduce` is the one command that does it again; `passes` is let by."""

    id: str
    scenario: str
    at: str
    reproduce: str
    passes: tuple[str, ...] = ("PASS",)


def worst_first(checks: Iterable[Check]) -> list[Check]:
    """FAIL before INVALID, INCONCLUSIVE, PASS and INFO."""
    return sorted(checks, key=lambda check: ORDER.index(check.outcome))


def render(found: Judgement, about: About) -> str:
    """Plain text: the verdict, why, every check, and the command when it did not pass."""
    lines = labelled(f"{found.outcome}  ", headline(found))
    for label, texts in (("invalid", found.invalid), ("notes", found.notes)):
        lines += [line for at, text in enumerate(texts) for line in labelled("" if at else label, text)]
    lines.append("")
    for check in worst_first(found.checks):
        lines += labelled(
            _MARK[check.outcome], f"{check.rule}  {f'[{check.limit}]  ' * bool(check.limit)}{check.words}"
        )
    lines += ["", *labelled("gate", about.id)]
    if found.base:
        lines += labelled("base", ", ".join(found.base))
    lines += labelled("candidate", ", ".join(found.candidate))
    if found.outcome != "PASS":
        lines += labelled("again", about.reproduce)
    return "\n".join(lines) + "\n"


_MARK = {"FAIL": "FAIL", "INVALID": "INVALID", "INCONCLUSIVE": "OPEN", "PASS": "pass", "INFO": "info"}


def headline(found: Judgement) -> str:
    """What it comes to, in one sentence."""
    counts = {outcome: sum(check.outcome == outcome for check in found.checks) for outcome in ORDER}
    judged = sum(counts.values()) - counts["INFO"]
    match found.outcome:
        case "PASS":
            return f"all {judged} rules are kept"
        case "FAIL":
            return f"{counts['FAIL']} of {judged} rules broken"
        case "INVALID":
            return "the measurement must not be used"
        case _:
            return f"{counts['INCONCLUSIVE']} of {judged} rules neither shown nor refuted"


def markdown(found: Judgement, about: About) -> str:
    """For a pull request: heading, table of checks, what was for information folded away, the command."""
    lines = [f"### {_BADGE[found.outcome]} loadlab gate: {found.outcome}", "", headline(found), ""]
    lines += [f"- **invalid**: {plain(text)}" for text in found.invalid]
    lines += [f"- {plain(text)}" for text in found.notes]
    lines += ["", *_table([check for check in worst_first(found.checks) if check.kind != "inform"])]
    inform = [check for check in found.checks if check.kind == "inform"]
    if inform:
        lines += ["", f"<details><summary>{len(inform)} for information</summary>", "", *_table(inform)]
        lines += ["", "</details>"]
    lines += ["", f"gate `{about.id}` · scenario {plain(about.scenario)}"]
    if found.outcome != "PASS":
        lines += ["", "Again, on your machine:", "", f"    {about.reproduce}"]
    return "\n".join(lines) + "\n"


_BADGE = {"PASS": "✅", "FAIL": "❌", "INCONCLUSIVE": "❔", "INVALID": "⚠️"}


def _table(checks: Iterable[Check]) -> list[str]:
    rows = [("", "rule", "limit", "found")]
    rows += [(check.outcome, check.rule, check.limit, check.words) for check in checks]
    body = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in rows]
    return [body[0], "|:--|:--|:--|:--|", *body[1:]]


def plain(text: str) -> str:
    """One line that Markdown takes as words."""
    flat = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\|`*_<>[]$" else letter for letter in flat)


def document(found: Judgement, about: About) -> dict[str, Any]:
    """Plain values; keys are added, never renamed, within one schema number."""
    return {
        "gate": {**asdict(about), "passes": list(about.passes), "outcome": found.outcome},
        "headline": headline(found),
        "invalid": list(found.invalid),
        "notes": list(found.notes),
        "base": list(found.base),
        "candidate": list(found.candidate),
        "checks": [asdict(check) for check in found.checks],
    }


def value(check: Check) -> str:
    """The number of a check with its unit, "–" without one."""
    return f"{number(check.value)} {check.unit}".strip()
