"""What each serving technique did, as one Markdown page and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from loadlab.analysis.effects import CONFIDENCE, Effect
from loadlab.core.metrics import METRICS
from loadlab.core.units import number, usd

NO_EFFECT = "no effect seen"


@dataclass(frozen=True, slots=True)
class Finding:
    """One technique: what was switched, under which load, and its effects; or why it was left out.

    `doubts`: reasons of blocks whose runs were INVALID.
    """

    name: str
    title: str
    off: Mapping[str, Any]
    on: Mapping[str, Any]
    load: str
    pays: str
    effects: Sequence[Effect] = ()
    doubts: Sequence[str] = ()
    skipped: str = ""


def document(about: Mapping[str, Any], findings: Sequence[Finding]) -> dict[str, Any]:
    """Plain values for JSON."""
    return {**about, "confidence": CONFIDENCE, "techniques": [_plain(finding) for finding in findings]}


def _plain(finding: Finding) -> dict[str, Any]:
    effects = [{**asdict(effect), "verdict": verdict(effect)} for effect in finding.effects]
    return {**asdict(finding), "effects": effects}


def render(about: Mapping[str, Any], findings: Sequence[Finding]) -> str:
    """The page: what was measured on what, one table of all, one section for each."""
    measured = [finding for finding in findings if finding.effects]
    skipped = [finding for finding in findings if finding.skipped]
    lines = [
        "# What each technique did",
        "",
        f"{about['model']} on {about['device']}, {about['date']}, loadlab {about['loadlab']}. {about['how']}",
        "",
        *_overview(measured),
        *(line for finding in measured for line in _section(finding)),
        *_left_out(skipped),
    ]
    return "\n".join(lines).rstrip() + "\n"


def verdict(effect: Effect) -> str:
    """ "better", "worse", or that nothing was seen: an interval that holds 1 shows no effect."""
    if not effect.seen:
        return NO_EFFECT
    gain = METRICS[effect.metric.partition(".")[0]].better == "higher"
    return "better" if (effect.ratio > 1) == gain else "worse"


def title(metric: str) -> str:
    """A metric for people: "Time to first token p50 (ms)"."""
    name, _, stat = metric.partition(".")
    known = METRICS[name]
    return f"{known.label} {stat} ({known.unit})" if stat else known.title


def _overview(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    names = list(dict.fromkeys(effect.metric for finding in findings for effect in finding.effects))
    rows = [[finding.title, *(_cell(finding, name) for name in names)] for finding in findings]
    return [*_table(["technique", *map(title, names)], rows), ""]


def _cell(finding: Finding, metric: str) -> str:
    effect = next((effect for effect in finding.effects if effect.metric == metric), None)
    if effect is None:
        return "–"
    return f"× {effect.ratio:.2f} {verdict(effect)}" if effect.seen else NO_EFFECT


def _section(finding: Finding) -> list[str]:
    rows = [
        [
            title(effect.metric),
            _value(effect, effect.off),
            _value(effect, effect.on),
            _ratio(effect),
            verdict(effect),
        ]
        for effect in finding.effects
    ]
    return [
        f"## {finding.title}",
        "",
        f"{_words(finding.off)} → {_words(finding.on)}; {finding.load}. It pays for {finding.pays}.",
        "",
        *_table(["", "off", "on", "on / off (95 % interval)", ""], rows),
        "",
        *([*(f"- doubtful: {doubt}" for doubt in finding.doubts), ""] if finding.doubts else []),
    ]


def _left_out(findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    return ["## Not measured", "", *(f"- {each.title}: {each.skipped}." for each in findings)]


def _value(effect: Effect, value: float) -> str:
    return usd(value) if effect.metric.startswith("usd") else number(value)


def _ratio(effect: Effect) -> str:
    if effect.low is None or effect.high is None:
        return f"{effect.ratio:.3f} (one pair: no interval)"
    return f"{effect.ratio:.3f} ({number(effect.low)} to {number(effect.high)}, {effect.pairs} pairs)"


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}` {_word(value)}" for name, value in settings.items())


def _word(value: Any) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rules = [":--", *("--:" for _ in heads[1:])]
    return [f"| {' | '.join(row)} |" for row in (heads, rules, *rows)]
