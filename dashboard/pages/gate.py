"""One gate: why it came out as it did, rule by rule, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dash import Dash, dcc, html

from loadlab.core.errors import NoDataError
from loadlab.core.units import number
from loadlab.figures import MAX_RULES, RuleRow, Theme, rule_dots
from loadlab.figures.axes import quantity
from loadlab.gates.past import Document

from ..comparisons import apart_table
from ..components import Column, chart, empty, facts, page, section, table
from ..gating import ORDER, commit_of, differences, document, rule_rows
from ..links import compare_path, run_link
from ..source import Source
from ..words import counted, outcome

PATH = "/gates/<gate_id>"
TITLE = "Gate"
_RULES = (
    Column("Verdict", "outcome", number=False),
    Column("Rule", "rule", number=False),
    Column("Limit", "limit", number=False),
    Column("Measured", "measured"),
    Column("Base", "base", help="Geometric mean of the base's runs"),
    Column("Change", "change", help="Candidate over base, with its 95 % interval where there is one"),
    Column("95 % interval", "interval"),
    Column("n", "n", help="Requests of an absolute rule; pairs or runs of a relative one"),
    Column("In words", "words", number=False),
)
_DOTS = (
    Column("Rule", "rule", number=False),
    Column("Side", "side", number=False),
    Column("Run", "run"),
    Column("Value", "value"),
)
_NOTE = (
    "One dot is one run: grey circles the base, blue diamonds the candidate. The upright mark is the value "
    "that was judged, with its interval; the tint is where the rule holds. A relative rule's limit is the "
    "base's geometric mean with the margin added."
)


def layout(source: Source, theme: Theme, query: Mapping[str, str]) -> Any:
    """The gate in the path: its id, a unique beginning of one, or "latest"."""
    try:
        found = document(source, query["gate_id"])
    except NoDataError as error:
        return page("No such gate", None, empty(str(error), (), dcc.Link("All gates", href="/gates")))
    gate, rows = found["gate"], rule_rows(source, found)
    return page(
        f"Gate {gate['id'].removeprefix('gate-')}",
        f"{gate['outcome']}: {found['headline']}.",
        section("Verdict", *_verdict(source, found)),
        section("Rules", table(_RULES, _rules(found, rows), "Rules, worst first")),
        section("What each run measured", _dots(rows, theme), note=_NOTE),
        section("Environment", *_environment(source, found)),
        section("Again, on your machine", html.Pre(html.Code(gate["reproduce"]), tabIndex=0)),
    )


def register(app: Dash, source: Source) -> None:
    """Nothing changes on this page but by navigating."""


def _verdict(source: Source, found: Document) -> list[Any]:
    gate = found["gate"]
    reasons = [html.Li(text) for text in (*found["invalid"], *found["notes"])]
    let_by = gate["outcome"] in gate["passes"] and gate["outcome"] != "PASS"
    words = ' (let by: on_inconclusive = "pass")' if let_by else ""
    about = facts(
        [
            ("When (UTC)", gate["at"][:19].replace("T", " ")),
            ("Scenario", gate["scenario"]),
            ("Commit", commit_of(source, found)),
            ("Base", _runs(found["base"])),
            ("Candidate", _runs(found["candidate"])),
        ]
    )
    pair = [found["base"][0], found["candidate"][0]] if found["base"] and found["candidate"] else []
    link = html.P(dcc.Link("Compare the first pair", href=compare_path(pair))) if pair else None
    return [html.P([outcome(gate["outcome"]), words]), about, html.Ul(reasons) if reasons else None, link]


def _runs(refs: Sequence[str]) -> Any:
    if not refs:
        return None
    links = [part for ref in refs for part in (run_link(ref, ref), ", ")]
    return html.Span(links[:-1])


def _rules(found: Document, rows: Sequence[RuleRow]) -> list[dict[str, Any]]:
    """`rows` are of the checks, in the same order."""
    checks = sorted(found["checks"], key=lambda check: ORDER.index(check["outcome"]))
    return [_rule(*pair) for pair in zip(checks, rows, strict=True)]


def _rule(check: Mapping[str, Any], row: RuleRow) -> dict[str, Any]:
    relative = check["kind"] in ("regress", "inform")
    cells = _relative(check, row) if relative else _absolute(row)
    return {
        "outcome": outcome(check["outcome"]),
        "rule": html.Code(check["rule"]),
        "limit": check["limit"] or "–",
        "n": f"{check['n']:,}" if check["n"] else "–",
        "words": check["words"],
        **cells,
    }


def _absolute(row: RuleRow) -> dict[str, str]:
    known = row.low is not None and row.high is not None
    return {
        "measured": quantity(row.value, row.unit),
        "base": "–",
        "change": "–",
        "interval": f"{quantity(row.low, row.unit)} … {quantity(row.high, row.unit)}" if known else "–",
    }


def _relative(check: Mapping[str, Any], row: RuleRow) -> dict[str, str]:
    low, high = check["low"], check["high"]
    ratio = check["value"]
    return {
        "measured": quantity(row.value, row.unit),
        "base": quantity(row.value / ratio if row.value and ratio else None, row.unit),
        "change": _percent(check["value"]),
        "interval": f"{_percent(low)} … {_percent(high)}" if None not in (low, high) else "–",
    }


def _percent(ratio: float | None) -> str:
    if ratio is None:
        return "–"
    change = 100 * (ratio - 1)
    return f"{'+' if change > 0 else ''}{number(change)} %"


def _dots(rows: Sequence[RuleRow], theme: Theme) -> Any:
    known = [row for row in rows if (row.base or row.candidate) and row.outcome != "INFO"]
    if not known:
        return empty("No run of this gate is stored any more, or no rule has one number per run.")
    data = [
        {"rule": row.rule, "side": side, "run": str(at + 1), "value": quantity(value, row.unit)}
        for row in known
        for side, values in (("base", row.base), ("candidate", row.candidate))
        for at, value in enumerate(values)
    ]
    finding = f"{counted(len(known), 'rule')} drawn, worst first: {known[0].rule} {known[0].outcome}."
    drawn = chart("gate-rules", rule_dots(known, theme), finding, table(_DOTS, data, "One value per run"))
    more = len(known) - MAX_RULES
    return (
        [drawn, html.P(f"{more} more rules are in the table above.", className="note")] if more > 0 else drawn
    )


def _environment(source: Source, found: Document) -> list[Any]:
    if not found["base"]:
        return [html.P("This gate had no base: nothing is compared with the candidate.")]
    return [apart_table(differences(source, found), "base", "candidate")]
