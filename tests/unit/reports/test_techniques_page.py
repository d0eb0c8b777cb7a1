"""The page of techniques: what it says of an effect, of none, and of what was not measured."""

from __future__ import annotations

import json
from typing import Any

from loadlab.analysis.effects import Block, effects
from loadlab.reports.techniques import NO_EFFECT, Finding, document, render, title, verdict

ABOUT: dict[str, Any] = {"model": "m", "device": "d", "date": "2026-11-21", "loadlab": "0", "how": "In turn."}
METRICS = ("ttft_ms.p50", "output_tokens_per_s", "usd_per_mtok_output")


def blocks(ttft_ms: list[float], rate: list[float]) -> list[Block]:
    pairs = zip(ttft_ms, rate, strict=True)
    return [{"ttft_ms.p50": a, "output_tokens_per_s": b, "usd_per_mtok_output": 100 / b} for a, b in pairs]


def finding(**more: Any) -> Finding:
    named = {"name": "prefix-cache", "title": "Prefix cache", "off": {"prefix_cache": False}}
    return Finding(**named, on={"prefix_cache": True}, load="scenario `chat`", pays="prompts", **more)


SEEN = finding(
    effects=effects(blocks([100, 110, 90], [50, 51, 49]), blocks([10, 11.5, 9.5], [50.5, 50, 49.6]), METRICS),
    doubts=["on, pair 2: the generator was late"],
)


def test_an_effect_is_named_by_its_direction_and_none_is_not() -> None:
    ttft, rate, cost = SEEN.effects
    assert (verdict(ttft), verdict(rate), verdict(cost)) == ("better", NO_EFFECT, NO_EFFECT)
    slower = effects(blocks([1, 1.1, 1], [50, 51, 49]), blocks([1, 1, 1.1], [25, 26, 24.5]), METRICS)
    assert [verdict(effect) for effect in slower] == [NO_EFFECT, "worse", "worse"]


def test_the_page_has_both_values_the_ratio_its_interval_and_the_doubts() -> None:
    page = render(ABOUT, [SEEN, finding(skipped="it is for cuda")])
    assert "| Time to first token p50 (ms) | 99.7 | 10.3 | 0.103 (0.0" in page
    assert "3 pairs" in page
    assert "`prefix_cache` off → `prefix_cache` on; scenario `chat`. It pays for prompts." in page
    assert "doubtful: on, pair 2: the generator was late" in page
    assert page.count(NO_EFFECT) == 4
    assert "- Prefix cache: it is for cuda." in page


def test_one_pair_gives_no_interval_and_shows_no_effect() -> None:
    page = render(ABOUT, [finding(effects=effects(blocks([9], [1]), blocks([1], [9]), METRICS))])
    assert "one pair: no interval" in page
    assert "better" not in page


def test_the_document_is_plain() -> None:
    plain = json.loads(json.dumps(document(ABOUT, [SEEN])))
    (technique,) = plain["techniques"]
    assert technique["effects"][0]["verdict"] == "better"
    assert plain["confidence"] == 0.95


def test_titles_come_from_the_registry() -> None:
    assert title("itl_ms.p99") == "Inter-token latency p99 (ms)"
    assert title("usd_per_mtok_output") == "Cost per million output tokens (USD/Mtok)"
