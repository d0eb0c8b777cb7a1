"""A run under way drawn, and continued."""

from __future__ import annotations

import json
import math

import pandas as pd

from loadlab.figures.live import LANES, extension, lanes, live

COLUMNS = [column for lane in LANES for column in lane.columns]
BINS = pd.DataFrame({"t_s": [0.5, 1.5], **{column: [1.0, math.nan] for column in COLUMNS}})


def test_traces_and_their_continuation_are_in_the_same_order() -> None:
    drawn, more = live(BINS, 500.0), extension(BINS, 600)
    assert len(drawn.data) == len(more[0]["y"]) == len(more[1]) == len(COLUMNS)
    assert more[0]["x"][0] == [0.5, 1.5]
    assert more[0]["y"][0] == [1.0, None]
    json.dumps(more, allow_nan=False)


def test_arrays_are_plain_so_that_they_can_be_extended() -> None:
    assert "bdata" not in live(BINS).to_json()


def test_without_a_gpu_there_is_no_lane_for_it() -> None:
    assert len(live(BINS, gpu=False).data) == len(extension(BINS, 600, gpu=False)[1]) == len(COLUMNS) - 1
    assert all("GPU" not in lane.title for lane in lanes(gpu=False))


def test_the_slo_stands_in_the_lane_of_ttft() -> None:
    line = live(BINS, 500.0).layout.shapes[0]
    assert (line.yref, line.y0) == ("y2", 500.0)
    assert not live(BINS).layout.shapes
