"""Gates: which passed, which rules fail, which never do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import Dash, dcc, html

from loadlab.figures import Theme, gate_trend
from loadlab.gates.past import OUTCOMES, Document, RulePast, by_rule, per_day

from .. import url
from ..choosing import chips, only
from ..components import Column, chart, empty, page, section, table
from ..gating import SHOWN, commits, documents
from ..links import gate_path
from ..source import Source
from ..words import outcome, share

PATH = "/gates"
TITLE = "Gates"
CI = """# .github/workflows/gate.yml
- uses: actions/checkout@v4
- uses: loadlab/loadlab@main
  with:
    report: gate
    comment: true"""
_LIST = (
    Column("Gate", "gate", number=False),
    Column("When (UTC)", "when", number=False),
    Column("Verdict", "outcome", number=False),
    Column("Scenario", "scenario", number=False),
    Column("Commit", "commit", number=False, help="Of the candidate's run, where it says one"),
    Column("Rules", "rules", help="How many rules could block"),
    Column("Not kept", "failed", number=False),
)
_RULES = (
    Column("Rule", "rule", number=False),
    Column("Kind", "kind", number=False),
    Column("Gates", "n"),
    Column("Failed", "failed"),
    Column("Inconclusive", "open"),
    Column("Flake rate", "flake", help="Commits judged more than once on which it both passed and failed"),
    Column("", "remark", number=False),
)
_DAYS = (Column("Day (UTC)", "day", number=False), *(Column(name, name) for name in OUTCOMES))
_KINDS = {"slo": "absolute", "regress": "against the base", "errors": "failures", "inform": "information"}


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The newest gates; `outcome` and `rule` filter the list."""
    every = documents(source)
    if not every:
        return page(TITLE, None, _none(source))
    of_gate, shown = commits(source, every), [each for each in every if _asked_for(each, query)]
    return page(
        TITLE,
        _answer(every),
        _filter(every, query),
        section("Gates", _list(shown, of_gate, query), note=f"The newest {SHOWN} at most; newest first."),
        section("Day by day", _trend(shown, theme)),
        section("Rules", table(_RULES, map(_rule, by_rule(every, of_gate)), "Rules that can block"),
                note=_rules_note(of_gate)),
    )  # fmt: skip


def register(app: Dash, source: Source) -> None:
    """Filters are links."""


def _none(source: Source) -> html.Div:
    return empty(
        f"No gate is stored in {source.where} yet. With a [gate] in loadlab.toml this makes one:",
        ("loadlab gate run --report junit=gate.xml",),
        html.P("On GitHub, in a workflow:"),
        html.Pre(html.Code(CI), tabIndex=0),
        html.P("docs/gates.md explains the rules and the snippet for GitLab."),
    )


def _answer(every: Sequence[Document]) -> str:
    newest = every[0]["gate"]
    passed = sum(each["gate"]["outcome"] == "PASS" for each in every)
    text = f"The latest gate is {newest['outcome']}: {every[0]['headline']}."
    return text if len(every) == 1 else f"{text} {passed} of the last {len(every)} gates passed."


def _asked_for(each: Document, query: Mapping[str, str]) -> bool:
    rule, wanted = query.get("rule"), query.get("outcome")
    kept = not wanted or each["gate"]["outcome"] == wanted
    return kept and (not rule or any(check["rule"] == rule for check in each["checks"]))


def _filter(every: Sequence[Document], query: Mapping[str, str]) -> html.Div:
    present = [name for name in OUTCOMES if any(each["gate"]["outcome"] == name for each in every)]
    kept = only(query, "outcome", "rule")
    row = [chips("Verdict", PATH, kept, "outcome", [("", "all"), *((name, name) for name in present)])]
    if query.get("rule"):
        row.append(chips("Rule", PATH, kept, "rule", [("", "all"), (query["rule"], query["rule"])]))
    return html.Div(row, className="choices")


def _list(shown: Sequence[Document], of_gate: Mapping[str, str], query: Mapping[str, str]) -> Any:
    if not shown:
        return empty("No gate matches these filters.", (), dcc.Link("Clear the filters", href=PATH))
    rows = [_row(each, of_gate.get(each["gate"]["id"])) for each in shown]
    return table(_LIST, rows, "Gates, newest first")


def _row(each: Document, commit: str | None) -> dict[str, Any]:
    gate, blocking = each["gate"], [check for check in each["checks"] if check["outcome"] != "INFO"]
    broken = [check["rule"] for check in blocking if check["outcome"] != "PASS"]
    return {
        "gate": dcc.Link(
            html.Span(gate["id"].removeprefix("gate-"), className="once"), href=gate_path(gate["id"])
        ),
        "when": html.Span(gate["at"][:16].replace("T", " "), className="once"),
        "outcome": outcome(gate["outcome"]),
        "scenario": gate["scenario"],
        "commit": html.Code(commit[:10]) if commit else "–",
        "rules": f"{len(blocking):,}",
        "failed": "; ".join(broken[:3]) + (f" and {len(broken) - 3} more" if len(broken) > 3 else "") or "–",
    }


def _trend(shown: Sequence[Document], theme: Theme) -> Any:
    if not shown:
        return empty("No gate matches these filters.")
    days = per_day(shown)
    rows = [{"day": day, **{name: f"{counts[name]:,}" for name in OUTCOMES}} for day, counts in days.items()]
    failed = sum(day["FAIL"] for day in days.values())
    finding = f"{len(shown)} gates on {len(days)} days, {failed} failed."
    return chart("gate-trend", gate_trend(days, theme), finding, table(_DAYS, rows, "Gates per day"))


def _rule(past: RulePast) -> dict[str, Any]:
    return {
        "rule": dcc.Link(past.rule, href=PATH + url.write({"rule": past.rule})),
        "kind": _KINDS.get(past.kind, past.kind),
        "n": f"{past.n:,}",
        "failed": f"{past.failed:,}",
        "open": f"{past.open:,}",
        "flake": share(past.wavered, past.twice),
        "remark": "never fired" if past.never_fires else "",
    }


def _rules_note(of_gate: Mapping[str, str]) -> str:
    words = "“never fired”: five gates or more and no failure; ask whether its limit can be reached."
    if not of_gate:
        words += (
            " The flake rate needs the commit of each run: `--commit`, a variable of the CI host, or a "
            '`commit` in the labels of its target (`labels = {commit = "…"}`).'
        )
    return words
