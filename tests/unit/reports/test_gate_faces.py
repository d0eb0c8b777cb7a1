"""The faces of a gate: structure, limits, and words of a server that must not become anything else."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from loadlab.core.errors import UnknownNameError
from loadlab.gates.nouns import Check, Judgement, judged
from loadlab.reports import gate, gate_faces, github
from loadlab.reports.gate import About

ABOUT = About("gate-1", "chat", "2026-11-21T10:00:00+00:00", "loadlab gate run --seed 1")
HOSTILE = "100 % <script>alert(1)</script>\r\n::error::x \x00 | `a` , :"
CHECKS = (
    Check("ttft_ms.p50", "regress", "FAIL", "9.8 % worse", 1.098, 1.05, 1.2, "≤ 3%", "ratio", 6),
    Check("chat", "slo", "PASS", "all of them", 1.0, limit=">= 95%", n=300),
    Check("tpot_ms.p50", "regress", "INCONCLUSIVE", "too close", limit="≤ 3%"),
    Check("itl_ms.p99", "inform", "INFO", HOSTILE, 1.0123, 0.9, 1.1, "", "ratio", 6),
)
FAILED = judged(CHECKS, [], base=("run-a",), candidate=("run-b",))


def many(n: int, outcome: str = "FAIL") -> Judgement:
    return judged([replace(CHECKS[0], rule=f"rule {at}", outcome=outcome) for at in range(n)], [])  # type: ignore[arg-type]


def test_text_says_the_command_only_when_it_did_not_pass() -> None:
    text = gate.render(FAILED, ABOUT)
    assert text.startswith("FAIL      1 of 3 rules broken\n")
    assert "again     loadlab gate run --seed 1\n" in text
    assert max(map(len, text.splitlines())) <= 100
    passed = gate.render(judged(CHECKS[1:2], []), ABOUT)
    assert passed.startswith("PASS      all 1 rules are kept")
    assert "again" not in passed


def test_junit_has_a_case_per_check() -> None:
    suite = ElementTree.fromstring(gate_faces.render("junit", FAILED, ABOUT)).find("testsuite")
    assert suite is not None
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    assert [child.tag for child in suite] == ["properties", *["testcase"] * 4]
    assert all(case.get("name") and case.get("classname") and case.get("time") for case in suite[1:])
    failure = suite.find("testcase/failure")
    assert failure is not None
    assert failure.get("type") == "FAIL"
    assert "loadlab gate run --seed 1" in (failure.text or "")


def test_junit_of_an_invalid_measurement_is_an_error() -> None:
    found = judged(CHECKS[1:2], ["run b is INVALID: late"])
    suite = ElementTree.fromstring(gate_faces.render("junit", found, ABOUT))[0]
    assert suite.get("errors") == "1"


def test_junit_skips_what_is_let_by() -> None:
    about = replace(ABOUT, passes=("PASS", "INCONCLUSIVE"))
    suite = ElementTree.fromstring(gate_faces.render("junit", judged(CHECKS[1:3], []), about))[0]
    assert (suite.get("errors"), suite.get("skipped")) == ("0", "1")


@pytest.mark.parametrize("passes", [("PASS",), ("PASS", "INCONCLUSIVE")])
def test_junit_is_valid_by_the_common_schema(passes: tuple[str, ...]) -> None:
    schema = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
    about = replace(ABOUT, passes=passes)
    for found in (FAILED, judged(CHECKS[1:2], ["run b is INVALID: late"]), judged([], [HOSTILE]), many(500)):
        schema.validate(gate_faces.render("junit", found, about))
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        schema.validate("<testsuites><testsuite name='a'/></testsuites>")


def test_annotations_are_few_and_worst_first() -> None:
    lines = github.told(judged([*many(7, "INCONCLUSIVE").checks, *many(7).checks], []), ABOUT)
    assert len(lines) == github.MOST_ANNOTATIONS
    assert sum(line.startswith("::error ") for line in lines) == 7
    assert lines[0].startswith("::error ")


def test_a_servers_words_are_no_command() -> None:
    bad = replace(CHECKS[0], rule="a:b,c", words=HOSTILE)
    (line,) = github.told(judged([bad], []), ABOUT)
    assert "\n" not in line
    assert "\r" not in line
    assert "title=loadlab%3A FAIL a%3Ab%2Cc::100 %25 <script>" in line


def test_the_summary_goes_where_github_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    github.tell(FAILED, ABOUT, log)
    assert log.getvalue() == ""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    github.tell(FAILED, ABOUT, log)
    assert log.getvalue().count("::error ") == 1
    assert "loadlab gate: FAIL" in (tmp_path / "summary").read_text()
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "outputs"))
    github.tell(judged([replace(CHECKS[0], words="word " * 300)] * 500, []), ABOUT, log)
    assert (tmp_path / "outputs").read_text() == "outcome=FAIL\ngate=gate-1\n"
    assert (tmp_path / "summary").stat().st_size < 1 << 20


def test_a_comment_has_its_marker_and_its_limit() -> None:
    text = gate_faces.render("markdown", FAILED, ABOUT)
    assert text.splitlines()[0] == "<!-- loadlab gate chat -->"
    assert "<script>" not in text
    long = github.comment(judged([replace(CHECKS[0], words="word " * 300)] * 500, []), ABOUT)
    assert len(long.encode()) <= github.MOST_BYTES + 100
    assert "… cut at 200,000 bytes" in long
    assert len(github.comment(many(500), ABOUT).encode()) < 1 << 20
    folded = github.comment(judged([replace(CHECKS[3], words="word " * 300)] * 500, []), ABOUT)
    assert folded.count("<details>") == folded.count("</details>") == 1


def test_gitlab_rounds_so_that_noise_is_no_change() -> None:
    lines = gate_faces.render("gitlab", FAILED, ABOUT).splitlines()
    assert lines[0] == 'loadlab_gate_regress{scenario="chat",rule="ttft_ms.p50",unit="ratio"} 1.1'
    assert lines[-2:] == ['loadlab_gate{scenario="chat"} 1', "# EOF"]


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else() -> None:
    page = Page()
    text = gate_faces.render("html", FAILED, ABOUT)
    page.feed(text)
    assert all(address.startswith("data:") for address in page.addresses)
    assert "script" not in page.tags
    assert page.tags.count("svg") == 2
    assert "loadlab gate run --seed 1" in text


def test_json_is_what_the_command_prints() -> None:
    found = json.loads(gate_faces.render("json", FAILED, ABOUT))
    assert found["gate"]["outcome"] == "FAIL"
    assert [check["outcome"] for check in found["checks"]] == ["FAIL", "PASS", "INCONCLUSIVE", "INFO"]


def test_an_unknown_report_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'junit'"):
        gate_faces.known("juint")
