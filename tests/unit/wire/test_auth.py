"""The key goes from the environment into one header, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.wire.auth import key_header

ENDPOINT = Endpoint("http://here/v1", "m", name="here", auth_env="TEST_KEY")


def test_without_a_variable_there_is_no_header() -> None:
    assert key_header(Endpoint("http://here/v1", "m")) == {}


@pytest.mark.parametrize("value", ["sk-1", "sk-1\n", " sk-1\r\n"])
def test_the_key_is_sent_without_the_space_around_it(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", value)
    assert key_header(ENDPOINT) == {"Authorization": "Bearer sk-1"}


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_a_missing_key_is_said(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(UsageError, match="TEST_KEY, which is not set"):
        key_header(ENDPOINT)


@pytest.mark.parametrize("value", ["sk\r\nX-Evil: 1", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(UsageError, match="TEST_KEY has characters") as refused:
        key_header(ENDPOINT)
    assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("x-api-key: {key}", {"x-api-key": "sk-1"}),
        ("Authorization: Token {key}", {"Authorization": "Token sk-1"}),
    ],
)
def test_the_header_is_the_vendors(
    form: str, header: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-1")
    assert key_header(replace(ENDPOINT, auth=form)) == header
