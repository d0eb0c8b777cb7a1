"""Figures on the run's clock, and distributions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from loadlab.analysis import timeline
from loadlab.figures import LIGHT, Band, ecdf, errors_over_time, lane_statistics, lanes, latency_over_time
from loadlab.figures.distribution import MAX_POINTS
from loadlab.figures.over_time import MAX_DOTS

S = 1e9
BANDS = (Band("1 user", 0, 5), Band("2 users", 5, 10))


def requests(n: int = 10, failed: tuple[int, ...] = (), kind: str = "timeout") -> pd.DataFrame:
    """One request a second: sent on the second, first token 100 ms later, done after 500 ms."""
    at = np.arange(n) * S
    return pd.DataFrame(
        {
            "level": 0, "warmup": False, "planned_ns": at, "sent_ns": at, "connect_ns": 0, "queued_ns": 0,
            "reused": True, "retries": 0,
            "first_token_ns": at + 0.1 * S, "last_token_ns": at + 0.4 * S, "done_ns": at + 0.5 * S,
            "output_tokens": 4.0, "error_kind": [kind if place in failed else None for place in range(n)],
        }
    )  # fmt: skip


def drawn(rows: pd.DataFrame, **given: object) -> dict[str, object]:
    figure = latency_over_time(timeline(rows, 1.0), rows, BANDS, **given)  # type: ignore[arg-type]
    return {trace.name: trace for trace in figure.data}


def test_every_answer_is_a_dot_and_failures_are_none() -> None:
    dots = drawn(requests(failed=(3,)))["TTFT of one request"]
    assert list(dots.y) == pytest.approx([100.0] * 9)  # type: ignore[attr-defined]
    assert 3.0 not in dots.x  # type: ignore[attr-defined]


def test_output_lane_shows_tokens_per_second() -> None:
    lane = drawn(requests())["Output throughput"]
    assert list(lane.y) == pytest.approx([4.0] * 10)  # type: ignore[attr-defined]


def test_thinned_dots_keep_the_slowest() -> None:
    rows = requests(MAX_DOTS * 2)
    rows.loc[17, "first_token_ns"] += 3 * S
    dots = drawn(rows)["TTFT of one request"]
    assert len(dots.y) <= MAX_DOTS  # type: ignore[attr-defined]
    assert max(dots.y) == pytest.approx(3_100)  # type: ignore[attr-defined]


def test_slo_line_and_levels_stand_in_the_figure() -> None:
    rows = requests()
    layout = latency_over_time(timeline(rows), rows, BANDS, 500.0).layout
    assert [shape.y0 for shape in layout.shapes if shape.name == "SLO"] == [500]
    assert [note.text for note in layout.annotations] == ["1 user", "2 users"]
    assert layout.xaxis.title.text == "Time since the run began (s)"


def test_run_with_only_failures_is_drawn() -> None:
    rows = requests(failed=tuple(range(10)))
    figure = latency_over_time(timeline(rows), rows, BANDS, 500.0)
    assert len(figure.data[0].y) == 0


def test_errors_are_stacked_by_kind_with_counts() -> None:
    rows = pd.concat([requests(failed=(1, 2)), requests(failed=(2,), kind="http_status")])
    figure = errors_over_time(rows, BANDS)
    assert [bar.name for bar in figure.data] == ["timeout (2)", "http_status (1)"]
    assert [sum(bar.y) for bar in figure.data] == [2, 1]
    assert figure.layout.barmode == "stack"
    assert figure.data[0].marker.color != figure.data[1].marker.color


def test_rare_kinds_share_one_colour() -> None:
    rows = requests()
    rows["error_kind"] = [f"kind{n}" for n in range(10)]
    names = [bar.name for bar in errors_over_time(rows).data]
    assert len(names) == 6
    assert names[-1] == "other kinds (5)"


def test_ecdf_counts_every_sample_and_names_n() -> None:
    figure = ecdf({"8 users": np.array([3.0, 1.0, 2.0, np.nan])}, "ttft_ms", 500.0)
    (steps,) = figure.data
    assert steps.name == "8 users (n = 3)"
    assert list(steps.x) == [1, 2, 3]
    assert list(steps.y) == pytest.approx([100 / 3, 200 / 3, 100])
    assert figure.layout.shapes[0].x0 == 500
    assert figure.layout.xaxis.title.text == "Time to first token (ms), lower is better"


def test_thinned_ecdf_keeps_the_tail() -> None:
    (steps,) = ecdf({"a": np.arange(1.0, 50_001.0)}, "itl_ms").data
    assert len(steps.x) <= MAX_POINTS
    assert list(steps.x[-3:]) == [49_998, 49_999, 50_000]
    assert steps.y[-1] == 100


def readings(*rows: tuple[float, str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["at_ns", "source", "device", "metric", "value"])
    return frame.assign(at_ns=frame["at_ns"] * S)


def test_lane_for_each_known_reading_in_people_s_units() -> None:
    found = readings(
        *((t, "nvml", "gpu0", "memory_used_bytes", 8e9) for t in range(4)),
        *((t, "host", "h", "cpu_percent", 50.0) for t in range(4)),
        (0, "server", "s", "something_new", 1.0),
    )
    figure = lanes(found, BANDS)
    assert [trace.name for trace in figure.data] == ["gpu0", "h all cores"]
    assert list(figure.data[0].y) == [8, 8, 8, 8]
    titles = [note.text for note in figure.layout.annotations if note.xref == "paper"]
    assert titles == ["GPU memory used (GB)", "Host CPU (%)"]
    assert lane_statistics(found)[0]["max"] == 8


def test_pause_in_sampling_is_a_gap() -> None:
    times = [0, 1, 2, 3, 20, 21]
    figure = lanes(readings(*((t, "host", "h", "cpu_percent", 50.0) for t in times)))
    assert np.isnan(figure.data[0].y).sum() == 1


def test_no_reading_is_no_lane() -> None:
    assert not lanes(readings(), theme=LIGHT).data


def test_a_counter_is_drawn_as_a_rate_and_not_over_its_restart() -> None:
    values = (100, 150, 250, 10, 40)
    found = readings(*((t, "server", "s", "generation_tokens", float(v)) for t, v in enumerate(values)))
    (trace,) = lanes(found).data
    assert list(trace.x) == [1, 2, 3, 4]
    assert list(trace.y[:2]) == [50, 100]
    assert np.isnan(trace.y[2])
    assert trace.y[3] == 30
    assert not lanes(readings((0, "server", "s", "generation_tokens", 5.0))).data
