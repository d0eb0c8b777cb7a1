"""constraints.txt pins every dependency that pyproject.toml names, at a version that its range admits."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAMED = [
    *PROJECT["dependencies"],
    *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
]
PINS = {
    canonicalize_name(name): version
    for name, _, version in (
        line.partition("==") for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    )
    if version
}


@pytest.mark.parametrize("line", NAMED)
def test_a_named_dependency_is_pinned(line: str) -> None:
    wanted = Requirement(line)
    assert canonicalize_name(wanted.name) in PINS, "run `make lock`"
    assert wanted.specifier.contains(PINS[canonicalize_name(wanted.name)])


def test_torch_is_pinned_for_every_build_of_it() -> None:
    assert "+" not in PINS["torch"]
