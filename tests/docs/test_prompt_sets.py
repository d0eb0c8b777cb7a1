"""The bundled prompts are what their page says they are."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def data(repository: Path) -> Path:
    return repository / "loadlab/workloads/data"


@pytest.fixture(scope="module")
def rows(data: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for line in (data / "everyday.jsonl").read_text(encoding="utf-8").split("\n") if line
    ]


@pytest.fixture(scope="module")
def page(data: Path) -> str:
    return (data / "README.md").read_text(encoding="utf-8")


def test_every_line_has_an_id_a_kind_and_a_prompt_of_its_own(rows: list[dict[str, Any]]) -> None:
    assert all(set(row) == {"id", "kind", "prompt"} for row in rows)
    assert len({row["id"] for row in rows}) == len({row["prompt"] for row in rows}) == len(rows)


def test_the_page_counts_the_kinds(rows: list[dict[str, Any]], page: str) -> None:
    counted = Counter(row["kind"] for row in rows)
    stated = {kind: int(count) for kind, count in re.findall(r"^\| ([a-z]+) \| .* \| (\d+) \|$", page, re.M)}
    assert stated == counted
    assert f"**Count**: {len(rows)} prompts" in page


def test_the_page_states_the_lengths(rows: list[dict[str, Any]], page: str) -> None:
    words = sorted(len(row["prompt"].split()) for row in rows)
    ranks = [words[0], *(nearest_rank(words, p) for p in (25, 50, 75, 90)), words[-1]]
    mean = f"{sum(words) / len(words):.1f}"
    assert f"| {' | '.join(map(str, ranks))} | {mean} |" in page
    limits = [0, 10, 25, 60, 120, math.inf]
    classes = [sum(low < n <= high for n in words) for low, high in itertools.pairwise(limits)]
    assert f"| {' | '.join(map(str, classes))} |" in page


def nearest_rank(ordered: list[int], percent: float) -> int:
    return ordered[math.ceil(percent / 100 * len(ordered)) - 1]
