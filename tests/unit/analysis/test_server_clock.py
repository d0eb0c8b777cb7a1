"""A server's own account of a request, in every shape docs/dialects.md lists."""

from __future__ import annotations

import pytest

from loadlab.analysis.server_clock import PARTS, server_parts


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        (None, {}),
        ({"something": 3.0}, {}),
        ({"decode_ms": 30.0, "queue_ms": 1.0, "prefill_ms": 9.0}, (1.0, 9.0, 30.0)),
        ({"queue_time_ms": 2.0, "time_to_first_token_ms": 40.0}, (2.0, 40.0, None)),
        ({"queue_time": 0.002, "prompt_time": 0.01, "completion_time": 0.5}, (2.0, 10.0, 500.0)),
        ({"prompt_ms": 7.0, "predicted_ms": 80.0}, (None, 7.0, 80.0)),
        ({"load_duration": 1e6, "prompt_eval_duration": 2e6, "eval_duration": 3e6}, (1.0, 2.0, 3.0)),
        ({"queue_time": 0.01, "first_token_latency": 0.03, "e2e_latency": 0.13}, (10.0, 20.0, 100.0)),
        (
            {
                "arrival_time_ns": 0.0, "first_scheduled_time_ns": 1e6, "first_token_time_ns": 3e6,
                "last_token_time_ns": 9e6,
            },
            (1.0, 2.0, 6.0),
        ),
    ],
)  # fmt: skip
def test_every_way_of_saying_it(said: dict[str, float] | None, parts: tuple[float | None, ...]) -> None:
    known = {name: length for name, length in zip(PARTS, parts, strict=False) if length is not None}
    assert server_parts(said) == pytest.approx(known)
    assert list(server_parts(said)) == list(known)
