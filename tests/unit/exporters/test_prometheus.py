from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

sys.path.append(str(Path(__file__).resolve().parent.parent / "reports"))
import summaries

from loadlab.core.metrics import METRICS
from loadlab.exporters import level_values, prometheus

KNOWN = {"gpu_power_w": 610.0, "j_per_output_token": 0.25, "energy_j": None, "remarks": ["x"]}


def read(page: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """The page as a scraper of the text format understands it."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_every_metric_is_a_series_of_its_run_and_level() -> None:
    given = summaries.summary(summaries.level(0, hardware=KNOWN), summaries.level(1))
    found = read(prometheus.page([given]))
    labels, value = next(
        each for each in found["loadlab_ttft_ms"] if each[0]["statistic"] == "p95" and each[0]["level"] == "1"
    )
    assert value == 50.0
    assert labels == {
        "run": "20261121-101010-abcd", "scenario": "chat", "target": "local", "model": "smollm2-135m",
        "level": "1", "offered": "2 users", "statistic": "p95",
    }  # fmt: skip
    assert [value for _, value in found["loadlab_gpu_power_w"]] == [610.0]
    assert {name.removeprefix("loadlab_") for name in found} >= {
        name for name, metric in METRICS.items() if metric.per != "level"
    }
    assert found["loadlab_run_info"][0][0]["verdict"] == "VALID"
    assert [(each[0]["result"], each[1]) for each in found["loadlab_requests"]] == [
        ("ok", 96.0), ("failed", 0.0)
    ] * 2  # fmt: skip


def test_what_is_unknown_has_no_line() -> None:
    found = read(prometheus.page([summaries.summary(summaries.failed(hardware=KNOWN))]))
    assert "loadlab_ttft_ms" not in found
    assert "loadlab_usd" not in found
    assert "loadlab_energy_j" not in found
    assert found["loadlab_error_rate"][0][1] == 100.0


def test_hostile_names_stay_inside_their_quotes() -> None:
    name = 'x"} 1\nloadlab_usd{run="y\\'
    found = read(prometheus.page([summaries.elsewhere(summaries.summary(summaries.level()), model=name)]))
    assert found["loadlab_run_info"][0][0]["model"] == name
    assert all(labels["run"] != "y" for samples in found.values() for labels, _ in samples)


def test_a_page_of_no_run_is_empty_but_valid() -> None:
    assert read(prometheus.page([])) == {}


def test_every_level_value_is_a_metric_of_the_registry() -> None:
    values = level_values(summaries.level(hardware=KNOWN))
    assert set(values) <= set(METRICS)
    assert values["j_per_output_token"] == 0.25
    assert "energy_j" not in values
    nobody = replace(summaries.level(), requests={"sent": 0, "ok": 0, "failed": 0, "errors": {}, "warmup": 0})
    assert "error_rate" not in level_values(nobody)
