"""One request drawn: its stretches, its stalls, the server's account."""

from __future__ import annotations

import pandas as pd

from loadlab.figures import density, histogram, request_lane
from loadlab.figures.request_lane import gaps, spans, window_ns

MS = 1_000_000
REQUEST = {
    "planned_ns": 1000 * MS, "sent_ns": 1012 * MS, "connect_ns": 10 * MS, "first_token_ns": 1060 * MS,
    "first_reasoning_ns": 1060 * MS, "first_answer_ns": 1100 * MS, "last_token_ns": 1500 * MS,
    "done_ns": 1501 * MS, "server_timings": {"queue_ms": 5.0, "prefill_ms": 30.0, "decode_ms": 400.0},
}  # fmt: skip
ARRIVALS = [1060 * MS, 1080 * MS, 1100 * MS, 1120 * MS, 1480 * MS, 1500 * MS]
READINGS = pd.DataFrame(
    [(1000 * MS, "nvml", "gpu0", "power_w", 300.0), (1400 * MS, "nvml", "gpu0", "power_w", 310.0)],
    columns=["at_ns", "source", "device", "metric", "value"],
)


def test_stretches_follow_each_other() -> None:
    found = [(span.name, span.start_ms, span.end_ms) for span in spans(REQUEST)]
    assert found == [
        ("waited", 0.0, 2.0),
        ("connect", 2.0, 12.0),
        ("ttft", 12.0, 60.0),
        ("reasoning", 60.0, 100.0),
        ("answer", 100.0, 500.0),
        ("end", 500.0, 501.0),
    ]


def test_a_request_that_was_never_sent_only_waited() -> None:
    never = {**dict.fromkeys(REQUEST), "planned_ns": 0, "done_ns": 7 * MS}
    assert [(span.name, span.end_ms) for span in spans(never)] == [("waited", 7.0)]


def test_a_stall_is_far_longer_than_its_neighbours() -> None:
    assert [gap.stall for gap in gaps(REQUEST, ARRIVALS)] == [False, False, False, True, False]
    assert gaps(REQUEST, []) == []


def test_all_of_it_is_drawn_on_one_clock() -> None:
    drawn = request_lane(REQUEST, ARRIVALS, READINGS)
    names = [trace.name for trace in drawn.data]
    assert "6 arrivals" in names
    assert "1 stalled" in names
    assert "Server: queue 5.00 ms" in names
    server = [trace for trace in drawn.data if trace.name and trace.name.startswith("Server")]
    assert [trace.base[0] for trace in server] == [12.0, 17.0, 47.0]
    power = drawn.data[-1]
    assert list(power.x) == [0.0, 400.0]
    assert "GPU power (W)" in [annotation.text for annotation in drawn.layout.annotations]


def test_readings_of_its_life_and_a_second_around() -> None:
    assert window_ns(REQUEST) == (0, 2501 * MS)


def test_density_counts_each_request_once() -> None:
    rows = pd.DataFrame(
        {
            "sent_ns": [0.0, 1e9, 2e9], "first_token_ns": [5e7, 1.1e9, 2.4e9],
            "error_kind": [None, None, "timeout"],
            **dict.fromkeys(("planned_ns", "done_ns", "last_token_ns", "output_tokens"), [0.0] * 3),
            **dict.fromkeys(("connect_ns", "queued_ns", "retries"), [0] * 3), "reused": [True] * 3,
        }
    )  # fmt: skip
    cells = pd.DataFrame(density(rows).data[0].z)
    assert cells.sum().sum() == 2


def test_histogram_shares_add_up() -> None:
    drawn = histogram({"a": pd.Series([1.0, 2.0, 30.0, 300.0]).to_numpy()}, "ttft_ms", 500.0)
    assert abs(sum(drawn.data[0].y) - 100) < 1e-9
