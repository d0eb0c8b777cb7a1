"""Credentials that somebody gives out and that end: who is asked for them, and what comes back.

A source is a module with two functions: `given(endpoint)`, what the environment holds and nobody renews,
and `fetch(endpoint)`, what is asked for, which may take seconds. `loadlab.wire.keeper` asks ahead of the end,
in a process of its own; whoever sends one request only asks when it does.
"""

from __future__ import annotations

import importlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from loadlab.core.errors import TargetError, UsageError
from loadlab.core.nouns import Endpoint

SOURCES = {
    "aws": "loadlab.wire.aws",
    "entra": "loadlab.wire.entra",
    "google": "loadlab.wire.google",
}
_ASK_S = 15.0


@dataclass(frozen=True, slots=True)
class Credential:
    """Secret parts by name, and the epoch second at which they end; None when nobody says."""

    parts: Mapping[str, str] = field(repr=False)
    expires_s: float | None = None


class Source(Protocol):
    """Who gives credentials out."""

    def given(self, endpoint: Endpoint) -> Credential | None:
        """What the environment holds; None where it holds nothing."""

    def fetch(self, endpoint: Endpoint) -> Credential:
        """What is given out now. Raises UsageError for what must be set, TargetError for who refuses."""


def source_of(endpoint: Endpoint) -> Source:
    """The source that the endpoint's `auth` names. Raises UsageError."""
    if endpoint.signs_for not in SOURCES:
        raise UsageError(
            f"target '{endpoint.name}' has auth = {endpoint.auth!r}; write 'NAME: {{key}}', 'entra', "
            "'google' or 'aws:SERVICE'."
        )
    return cast(Source, importlib.import_module(SOURCES[endpoint.signs_for]))


def scope_of(endpoint: Endpoint, usual: str) -> str:
    """What the token is to be good for: said with `auth` ("entra:SCOPE"), by the profile, or as usual."""
    return endpoint.auth.partition(":")[2] or endpoint.params.get("scope") or usual


def from_variable(*names: str) -> Credential | None:
    """A token that the environment holds under the first of these names that is set."""
    for name in names:
        if token := os.environ.get(name, "").strip():
            return Credential({"token": token})
    return None


def missing_extra(endpoint: Endpoint, extra: str, package: str) -> UsageError:
    """What to say where a package of an extra is not installed."""
    return UsageError(
        f"target '{endpoint.name}' wants credentials by way of {package}, which is not installed: "
        f"pip install 'loadlab[{extra}]'"
    )


def ask(
    url: str,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    proxied: bool = True,
    timeout_s: float = _ASK_S,
) -> dict[str, Any]:
    """The JSON that a token server answers to a form, or to a GET without one. Raises TargetError."""
    body = None if form is None else urllib.parse.urlencode(form).encode()
    host = urllib.parse.urlsplit(url).netloc
    opener = urllib.request.build_opener(*([] if proxied else [urllib.request.ProxyHandler({})]))
    try:
        with opener.open(urllib.request.Request(url, body, dict(headers or {})), timeout=timeout_s) as reply:
            document: dict[str, Any] = json.load(reply)
    except urllib.error.HTTPError as error:
        with error:
            words = _words(error.read(1 << 16))
        raise TargetError(f"{host} gave no token (HTTP {error.code}: {words})") from error
    except (OSError, ValueError) as error:
        raise TargetError(f"{host} gave no token ({error})") from error
    return document


def _words(body: bytes) -> str:
    """The first line of what a token server says."""
    try:
        said = json.loads(body)
        text = str(said.get("error_description") or said.get("error") or said)
    except (ValueError, AttributeError):
        text = body.decode("utf-8", "replace")
    return text.strip().partition("\n")[0][:300].strip()
