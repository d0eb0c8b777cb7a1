"""`vendors.toml`: what is read, and what a mistake in it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadlab.core.errors import UsageError
from loadlab.vendors import Study, read

FILE = """
name = "november"
days = 2
slots_per_day = 4
max_gap = "45s"
max_usd = 12.5
own_mix = "10:1"

[vendors.alpha]
target = "alpha"
max_usd = 5
[vendors.beta]
url = "http://127.0.0.1:8000/v1"

[workloads.chat]
max_tokens = 100
[workloads.cached]
prefix_tokens = 500
max_tokens = 50
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "vendors.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    study = read(written(tmp_path, FILE))
    assert (study.name, study.slots, study.every_s) == ("november", 8, 21_600)
    assert (study.max_gap_s, study.own_mix, study.prompts) == (45.0, (10.0, 1.0), 10)
    assert study.vendor("alpha").max_usd == 5
    assert study.requests == 8 * 11
    assert not study.workload("chat").cached
    assert study.workload("cached").prompt_tokens == 30
    assert Study.from_document(study.document()) == study


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("days = 2", "dais = 2", "unknown key 'dais'"),
        ("days = 2", "days = 0", "days = 0 must be a whole number of at least 1"),
        ("days = 2", 'days = "two"', "days = 'two' must be a whole number"),
        ("max_usd = 12.5", "max_usd = 0", "max_usd = 0 must be a number"),
        ('own_mix = "10:1"', 'own_mix = "much"', "own_mix = 'much' is not understood"),
        ('max_gap = "45s"', 'max_gap = "0s"', "must be more than 0"),
        ('target = "alpha"', "target = 5", "must be words in quotes"),
        ('[vendors.beta]\nurl = "http://127.0.0.1:8000/v1"', "", "1 [vendors.NAME] given, at least 2"),
        ('url = "http://127.0.0.1:8000/v1"', 'account = "x"', "[vendors.beta] has no target"),
        ("[workloads.chat]\nmax_tokens = 100", "[workloads.chat]", "[workloads.chat] has no max_tokens"),
        ("max_tokens = 100", "max_tokens = 100\nprompts = 5", "must name a prompt set"),
        ("days = 2", "publish_terms_checked = 1", "must be true or false"),
        ("days = 2", "prompts = 0", "prompts = 0 must be a whole number"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in FILE
    with pytest.raises(UsageError) as caught:
        read(written(tmp_path, FILE.replace(old, new)))
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read(tmp_path / "none.toml")


def test_only_what_changes_the_measuring_makes_two_files_differ(tmp_path: Path) -> None:
    study = read(written(tmp_path, FILE))
    richer = read(
        written(tmp_path, FILE.replace("max_usd = 12.5", "max_usd = 50").replace("days = 2", "days = 9"))
    )
    other = read(written(tmp_path, FILE.replace("max_tokens = 100", "max_tokens = 200")))
    assert study.measures_as(richer) == ""
    assert study.measures_as(other) == "workloads"
