from __future__ import annotations

import summaries

from loadlab.analysis.attribution import KEYS
from loadlab.reports import hardware, markdown, text

BUSY = {
    **dict.fromkeys(KEYS),
    "gpus": 2, "gpu_utilisation_percent": 93.4, "gpu_power_w": 1210.0, "gpu_idle_power_w": 140.2,
    "gpu_throttled_percent": 0.0, "j_per_output_token": 0.313, "output_tokens_per_j": 3.19,
    "kv_cache_max_percent": 71.0, "server_waiting_max": 12.0, "preemptions": 0.0,
    "remarks": ["gpu0: power was not read in 1.1 s of 40 s, taken to be like the rest"],
}  # fmt: skip


def test_each_level_says_what_its_gpus_did_beside_its_latency() -> None:
    assert hardware.words([summaries.level(0, hardware=BUSY), summaries.level(1, hardware=BUSY)]) == [
        "2 GPUs, 140 W before the load",
        "1 user: GPU 93.4 % busy, 1,210 W, 0.313 J/token, 3.19 tok/s/W, KV cache up to 71.0 %, "
        "up to 12.0 waiting, TTFT p95 50.0 ms",
        "2 users: GPU 93.4 % busy, 1,210 W, 0.313 J/token, 3.19 tok/s/W, KV cache up to 71.0 %, "
        "up to 12.0 waiting, TTFT p95 50.0 ms",
        "gpu0: power was not read in 1.1 s of 40 s, taken to be like the rest",
    ]


def test_what_was_not_read_takes_no_line() -> None:
    nothing = {**dict.fromkeys(KEYS), "remarks": []}
    assert hardware.words([summaries.level(hardware=nothing), summaries.level()]) == []
    assert "hardware" not in text.render(summaries.summary(summaries.level(hardware=nothing)))


def test_reports_carry_it_within_their_width() -> None:
    given = summaries.summary(summaries.level(hardware=BUSY), summaries.failed(1, hardware=BUSY))
    page = text.render(given)
    assert "\nhardware  2 GPUs, 140 W before the load\n          1 user: GPU 93.4 % busy" in page
    assert max(map(len, page.splitlines())) <= text.WIDTH
    assert "- hardware: 2 GPUs, 140 W before the load\n" in markdown.render(given)
