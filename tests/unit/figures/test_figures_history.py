"""Series of runs as lanes: dots, medians, steps, flags, in both themes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from loadlab.analysis.measures import parse
from loadlab.figures import DARK, LIGHT, Theme
from loadlab.figures import history as figures
from loadlab.history import Found, Kind, Point, Series, found

KIND = Kind("chat", "tiny", "lab", "2 × H100", "8 users", "", "{}")
DAY_NS = 86_400 * 10**9


def series(runs: int, step_at: int | None = None, measure: str = "ttft_ms.p50") -> Found:
    logs = np.log(100) + np.random.default_rng(1).normal(0, 0.02, runs)
    if step_at is not None:
        logs[step_at:] += 0.2
    around = [{"driver": "570" if at < runs // 2 else "580"} for at in range(runs)]
    points = tuple(Point(f"run-{at}", 0, at * DAY_NS, f"c{at}", around[at]) for at in range(runs))
    values = np.exp(logs)
    return found(Series(KIND, parse(measure), points, values, values * 0.98, values * 1.02))


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_a_step_has_its_rule_and_its_words(theme: Theme) -> None:
    chart = figures.regressions([series(40, 20)], "run", theme)
    texts = [note.text for note in chart.layout.annotations]
    assert texts[0] == "<b>Time to first token p50</b> (ms, lower is better)"
    assert texts[1].startswith("+2")
    assert "p " in texts[1]
    rules = [trace for trace in chart.data if trace.mode == "lines" and trace.x[0] == trace.x[1] == 21]
    assert len(rules) == 1
    assert rules[0].line.dash == "solid"
    (dots,) = [trace for trace in chart.data if trace.error_y.array is not None]
    assert len(dots.x) == 40
    assert "commit c0" in dots.customdata[0]
    json.loads(chart.to_json())


def test_medians_lie_between_steps() -> None:
    chart = figures.regressions([series(40, 20)], "run")
    lines = [trace for trace in chart.data if trace.mode == "lines" and trace.y[0] == trace.y[1]]
    assert [trace.x[0] for trace in lines] == [1, 21]
    assert lines[0].y[0] == pytest.approx(100, rel=0.02)
    assert lines[1].y[0] == pytest.approx(122, rel=0.02)


def test_what_else_changed_is_flagged() -> None:
    chart = figures.regressions([series(40)])
    (flags,) = [trace for trace in chart.data if trace.marker.symbol == "triangle-up"]
    assert "driver: 570 → 580" in flags.customdata[0]


def test_a_few_runs_are_dots_without_band_or_rule() -> None:
    chart = figures.regressions([series(1)])
    assert not any(trace.fill for trace in chart.data)
    assert [len(trace.x) for trace in chart.data if trace.error_y.array is not None] == [1]


def test_at_most_six_lanes_on_one_axis() -> None:
    chart = figures.regressions([series(9)] * 8)
    assert sum(note.text.startswith("<b>") for note in chart.layout.annotations) == 6
    assert chart.layout.xaxis.anchor == "y6"


def test_the_finding_says_the_newest_step() -> None:
    assert figures.finding([series(40)]) == "No certain step in any of these series."
    said = figures.finding([series(40, 20)])
    assert said.startswith("Time to first token p50: +2")
    assert said.endswith("worse since run run-20.")
