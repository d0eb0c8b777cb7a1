"""docs/dialects.md names every dialect and every profile there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadlab.dialects import DIALECTS, profiles

SHIPPED = profiles.known({})


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs/dialects.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", DIALECTS)
def test_every_dialect_has_a_row(name: str, page: str) -> None:
    assert re.search(rf"^\|[^|]*`{name}`", page, re.M)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_profile_has_a_row_that_is_true(name: str, page: str) -> None:
    row = re.search(
        rf"^\| `{name}` \| `([\w-]+)` \|[^|]*\| (?:`([\w:]+)`(?:, or `[\w:]+`)?|–) \|", page, re.M
    )
    assert row
    profile = SHIPPED[name]
    assert row[1] == profile.get("dialect", profiles.DEFAULT_DIALECT)
    given_out = None if "{key}" in profile.get("auth", "{key}") else profile["auth"]
    assert row[2] == profile.get("api_key_env", given_out)


def test_every_key_of_a_profile_is_explained(page: str) -> None:
    for key in profiles.KEYS:
        assert re.search(rf"^\| `{key}(\.DIALECT)?` \|", page, re.M), key
