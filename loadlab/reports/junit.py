"""A gate as JUnit XML: a test suite per gate, a test case per check. Read by GitHub actions, GitLab, Jenkins.

FAIL is a failure; INVALID and INCONCLUSIVE are errors, or skipped where an inconclusive gate is let by.
"""

from __future__ import annotations

from xml.etree import ElementTree as Xml

from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.gate import KINDS, About, value

_TAGS = {"FAIL": "failure", "INVALID": "error", "INCONCLUSIVE": "error"}


def render(found: Judgement, about: About) -> str:
    """The XML document."""
    cases = [_case(check, about) for check in found.checks]
    cases += [_invalid(text, about) for text in found.invalid]
    suite = Xml.Element(
        "testsuite",
        name=_clean(f"loadlab gate {about.scenario}"),
        timestamp=about.at[:19],
        hostname="loadlab",
        tests=str(len(cases)),
        failures=str(_count(cases, "failure")),
        errors=str(_count(cases, "error")),
        skipped=str(_count(cases, "skipped")),
        time="0",
    )
    properties = Xml.SubElement(suite, "properties")
    for name, text in {"gate": about.id, "outcome": found.outcome, "again": about.reproduce}.items():
        Xml.SubElement(properties, "property", name=name, value=_clean(text))
    for check in found.checks:
        Xml.SubElement(properties, "property", name=_clean(check.rule), value=_clean(value(check)))
    suite.extend(cases)
    root = Xml.Element("testsuites")
    root.append(suite)
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(check: Check, about: About) -> Xml.Element:
    case = Xml.Element(
        "testcase",
        name=_clean(check.rule),
        classname=_clean(f"{about.scenario}.{KINDS[check.kind]}"),
        time="0",
    )
    tag = _TAGS.get(check.outcome)
    if check.outcome == "INCONCLUSIVE" and check.outcome in about.passes:
        tag = "skipped"
    if tag:
        words = _clean(f"{check.outcome}: {check.words}")
        told = Xml.SubElement(case, tag, message=words)
        if tag != "skipped":
            told.set("type", check.outcome)
            told.text = _clean(f"{check.rule} [{check.limit}]\n{check.words}\nagain: {about.reproduce}")
    else:
        Xml.SubElement(case, "system-out").text = _clean(check.words)
    return case


def _invalid(text: str, about: About) -> Xml.Element:
    case = Xml.Element(
        "testcase", name="measurement", classname=_clean(f"{about.scenario}.validity"), time="0"
    )
    Xml.SubElement(case, "error", message=_clean(text), type="INVALID").text = _clean(text)
    return case


def _count(cases: list[Xml.Element], tag: str) -> int:
    return sum(case.find(tag) is not None for case in cases)


def _clean(text: str) -> str:
    """Without what XML cannot hold: words of a server end up in here."""
    return "".join(letter for letter in text if letter.isprintable() or letter == "\n")
