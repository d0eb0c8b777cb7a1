"""A gate as one HTML file that needs nothing else: no script, no font, no address."""

from __future__ import annotations

from html import escape

from loadlab.gates.nouns import Check, Judgement
from loadlab.reports.gate import KINDS, About, headline, worst_first

_COLOURS = {
    "PASS": "#1a7f4b", "FAIL": "#c0362c", "INCONCLUSIVE": "#8a6d00", "INVALID": "#8a6d00", "INFO": "#5b6470",
}  # fmt: skip
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.4rem .6rem;vertical-align:top;
border-bottom:1px solid #dde1e6}code{background:#eef0f3;padding:.1rem .3rem}
.o{font-weight:600;white-space:nowrap}
@media(prefers-color-scheme:dark){body{background:#14171a;color:#e6e8eb}td,th{border-color:#333a41}
code{background:#262b30}}
"""
_WIDTH, _MOST = 160, 0.25


def render(found: Judgement, about: About) -> str:
    """The page."""
    rows = "\n".join(_row(check) for check in worst_first(found.checks))
    told = "".join(f"<li>{escape(text)}</li>" for text in (*found.invalid, *found.notes))
    again = "" if found.outcome == "PASS" else f"<p>Again: <code>{escape(about.reproduce)}</code></p>"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>loadlab gate: {found.outcome}'
        f"</title><style>{_STYLE}</style></head><body>\n"
        f"<h1>{_coloured(found.outcome)} {escape(about.scenario)}</h1>\n<p>{escape(headline(found))}</p>\n"
        f"<ul>{told}</ul>\n<table><thead><tr><th>outcome</th><th>rule</th><th>limit</th><th>found</th>"
        f"<th>ratio, −25 % … +25 %</th></tr></thead><tbody>\n{rows}\n</tbody></table>\n{again}"
        f"<p>{escape(about.id)}, {escape(about.at)}. Base: {escape(', '.join(found.base) or 'none')}. "
        f"Candidate: {escape(', '.join(found.candidate))}.</p>\n</body></html>\n"
    )


def _coloured(outcome: str) -> str:
    return f'<span class="o" style="color:{_COLOURS[outcome]}">{outcome}</span>'


def _row(check: Check) -> str:
    return (
        f"<tr><td>{_coloured(check.outcome)}<br><small>{KINDS[check.kind]}</small></td>"
        f"<td><code>{escape(check.rule)}</code></td><td>{escape(check.limit)}</td>"
        f"<td>{escape(check.words)}</td><td>{_strip(check)}</td></tr>"
    )


def _strip(check: Check) -> str:
    """The interval of a ratio on a line of which the middle is 1."""
    if check.unit != "ratio" or check.low is None or check.high is None or check.value is None:
        return ""
    low, middle, high = (_at(ratio) for ratio in (check.low, check.value, check.high))
    colour = _COLOURS[check.outcome]
    return (
        f'<svg role="img" aria-label="{escape(check.words)}" width="{_WIDTH}" height="18">'
        f'<line x1="{_at(1)}" x2="{_at(1)}" y1="0" y2="18" stroke="#9aa3ad"/>'
        f'<line x1="{low}" x2="{high}" y1="9" y2="9" stroke="{colour}" stroke-width="3"/>'
        f'<circle cx="{middle}" cy="9" r="4" fill="{colour}"/></svg>'
    )


def _at(ratio: float) -> float:
    share = max(-_MOST, min(_MOST, ratio - 1)) / _MOST
    return round(_WIDTH / 2 * (1 + share * 0.95), 1)
