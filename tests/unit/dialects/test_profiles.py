"""Profiles: every shipped one makes a whole endpoint, and a user's own needs no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from loadlab import dialects
from loadlab.core import config
from loadlab.core.errors import UnknownNameError, UsageError
from loadlab.core.nouns import Endpoint, Request
from loadlab.dialects import profiles
from loadlab.testing.vendors import REQUEST

SHIPPED = profiles.known({})
PARAMS = {"resource": "r", "endpoint": "e", "region": "eu-west-1", "project": "p"}
SPOKEN = [
    (name, dialect)
    for name, profile in SHIPPED.items()
    for dialect in {profile.get("dialect", profiles.DEFAULT_DIALECT), *profile.get("with", {})}
]


def bare(profile: str | None = None, **more: Any) -> Endpoint:
    return Endpoint(**{"url": "", "model": "m", "dialect": "", "name": "t", "profile": profile, **more})


def body_of(endpoint: Endpoint, request: Request = REQUEST) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(dialects.get(endpoint.dialect).encode(endpoint, request).body)
    return document


@pytest.mark.parametrize(("name", "dialect"), SPOKEN)
def test_a_shipped_profile_makes_a_whole_endpoint(name: str, dialect: str) -> None:
    endpoint = profiles.resolve(bare(name, params=PARAMS, dialect=dialect), {})
    call = dialects.get(endpoint.dialect).encode(endpoint, REQUEST)
    parts = urlsplit(call.url)
    assert parts.hostname
    assert "{" not in call.url
    assert "//" not in parts.path
    header, _, form = endpoint.auth.partition(":")
    assert header
    assert header in ("aws", "google") or "{key}" in form


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_has_only_known_keys(name: str) -> None:
    assert profiles.known({"profiles": {"copy": SHIPPED[name]}})["copy"] == SHIPPED[name]


def test_what_the_issue_names_is_there() -> None:
    assert set(SHIPPED) >= {
        "openai", "azure-openai", "azure-ml", "anthropic", "google-ai", "vertex", "bedrock", "groq",
        "perplexity", "mistral", "together", "fireworks", "openrouter", "deepseek", "xai", "vllm", "sglang",
        "tgi", "triton", "tensorrt-llm", "llamacpp", "ollama", "lm-studio", "loadlab",
    }  # fmt: skip


def test_azure_puts_deployment_and_version_into_the_url() -> None:
    endpoint = profiles.resolve(bare("azure-openai", params={"resource": "acme"}), {})
    call = dialects.get(endpoint.dialect).encode(endpoint, REQUEST)
    assert call.url == (
        "https://acme.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21"
    )
    assert (endpoint.auth, endpoint.auth_env) == ("api-key: {key}", "AZURE_OPENAI_API_KEY")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("http://box:9000", "http://box:9000/v1"),
        ("http://box:9000/", "http://box:9000/v1"),
        ("http://box:9000/llm/v1", "http://box:9000/llm/v1"),
        ("", "http://127.0.0.1:8000/v1"),
    ],
)
def test_a_url_of_ones_own_keeps_its_path(given: str, meant: str) -> None:
    assert profiles.resolve(bare("vllm", url=given), {}).url == meant


def test_a_vendor_is_known_by_its_host() -> None:
    endpoint = profiles.resolve(bare(url="https://api.anthropic.com"), {})
    assert (endpoint.profile, endpoint.dialect, endpoint.auth) == (
        "anthropic", "anthropic", "x-api-key: {key}",
    )  # fmt: skip
    assert "temperature" not in body_of(endpoint)


def test_without_a_profile_it_is_openai_chat() -> None:
    endpoint = profiles.resolve(bare(url="http://somewhere:1/v1"), {})
    assert (endpoint.profile, endpoint.dialect, endpoint.auth_env) == (None, "openai-chat", None)


def test_the_targets_own_settings_win() -> None:
    own = {"auth_env": "MINE", "auth": "X-Own: {key}", "fields": {"temperature": "temperature"}}
    endpoint = profiles.resolve(bare("anthropic", **own), {})
    assert (endpoint.auth_env, endpoint.auth) == ("MINE", "X-Own: {key}")
    assert body_of(endpoint)["temperature"] == 0.0


def test_what_is_missing_is_said() -> None:
    with pytest.raises(UsageError, match=r"wants to know the region: give params = \{ region"):
        profiles.resolve(bare("bedrock"), {})


def test_an_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'mistral'"):
        profiles.resolve(bare("mistrall"), {})


def test_a_profile_is_a_target_of_its_own() -> None:
    endpoint = profiles.resolve(profiles.target("groq", {}), {})
    assert (endpoint.name, endpoint.url, endpoint.auth_env) == (
        "groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY",
    )  # fmt: skip
    with pytest.raises(UnknownNameError, match="target 'groqq' is not known; did you mean 'groq'"):
        profiles.target("groqq", {})


def test_a_user_adds_one_in_loadlab_toml_only(tmp_path: Path) -> None:
    (tmp_path / "loadlab.toml").write_text(
        """
[profiles.acme]
url = "https://{region}.acme.example/llm/v1"
api_key_env = "ACME_KEY"
auth = "X-Acme: key {key}"
headers = { "X-Tier" = "gold" }
fields = { temperature = "", messages = "turns" }
body = { safe = true }

[targets.mine]
profile = "acme"
model = "big"
params = { region = "eu" }
"""
    )
    given = config.load(tmp_path)
    endpoint = profiles.resolve(profiles.target("mine", given), given)
    call = dialects.get(endpoint.dialect).encode(endpoint, Request(prompt="hi"))
    assert call.url == "https://eu.acme.example/llm/v1/chat/completions"
    assert call.headers["X-Tier"] == "gold"
    assert (endpoint.auth, endpoint.auth_env) == ("X-Acme: key {key}", "ACME_KEY")
    body = json.loads(call.body)
    assert (body["turns"], body["safe"]) == ([{"role": "user", "content": "hi"}], True)
    assert "temperature" not in body


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"ulr": "x"}, "unknown key 'ulr'"),
        ({"with": {"anthropic": {"urll": "x"}}}, "unknown key 'urll'"),
        ({"auth": "Bearer"}, "must be like 'api-key: {key}'"),
        ("https://x", "must be a table"),
    ],
)
def test_a_bad_profile_says_what_is_wrong(profile: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        profiles.known({"profiles": {"acme": profile}})
