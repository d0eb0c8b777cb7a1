"""What makes an endpoint accept a call: a key in a header, a token that somebody gave, or a signature.

Secrets come from the environment or from who gives them out, are put on the wire, and are kept nowhere else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loadlab.core.errors import UsageError
from loadlab.core.nouns import Endpoint
from loadlab.dialects import Call
from loadlab.wire.credentials import Credential, source_of

Sign = Callable[[Call], Call]
_FRESH_S = 60.0
_asked: dict[tuple[Any, ...], Credential] = {}


def signer_of(endpoint: Endpoint) -> Sign:
    """What every call passes through before it is sent; a token is asked for now, unless one is still good.

    Raises UsageError for what is not set, TargetError for who gives no token.
    """
    if not endpoint.signs_for:
        return _Headers(key_header(endpoint))
    parts = _now(endpoint).parts
    return _signing(endpoint, lambda: parts)


def kept_signer_of(endpoint: Endpoint) -> Sign:
    """The same for a load: where a credential ends, a process beside this one gets the next in time.

    With a method `close` then; `trouble` says why there is no next one.
    """
    if not endpoint.signs_for or source_of(endpoint).given(endpoint):
        return signer_of(endpoint)
    from loadlab.wire.keeper import Kept  # most runs have no use for it

    kept = Kept(endpoint)
    return _Kept(_signing(endpoint, kept), kept)


def key_header(endpoint: Endpoint) -> dict[str, str]:
    """The header that carries the key to `endpoint`. Raises UsageError when its variable is of no use."""
    if endpoint.auth_env is None:
        return {}
    # A file read into a variable often brings its line end along.
    secret = os.environ.get(endpoint.auth_env, "").strip()
    if not secret:
        raise UsageError(
            f"target '{endpoint.name}' wants its key in the environment variable {endpoint.auth_env}, "
            "which is not set; export it and run again."
        )
    if not (secret.isascii() and secret.isprintable()):
        raise UsageError(
            f"the key in the environment variable {endpoint.auth_env} has characters that no HTTP header "
            f"can carry ({len(secret)} characters, not shown); export it again, without line ends inside."
        )
    name, _, form = endpoint.auth.partition(":")
    return {name.strip(): form.strip().replace("{key}", secret)}


def _now(endpoint: Endpoint) -> Credential:
    """A credential that is good for another minute."""
    source = source_of(endpoint)
    if given := source.given(endpoint):
        return given
    about = (endpoint.auth, endpoint.name, *sorted(endpoint.params.items()))
    known = _asked.get(about)
    if known is None or (known.expires_s is not None and known.expires_s - time.time() < _FRESH_S):
        known = _asked[about] = source.fetch(endpoint)
    return known


def _signing(endpoint: Endpoint, parts: Callable[[], Mapping[str, str]]) -> Sign:
    if endpoint.signs_for != "aws":
        return _Bearer(parts)
    from loadlab.wire.sigv4 import SigV4

    return SigV4.of(endpoint, parts)


@dataclass(frozen=True, slots=True, repr=False)
class _Headers:
    """Adds headers that stay as they are."""

    headers: Mapping[str, str]

    def __call__(self, call: Call) -> Call:
        return replace(call, headers={**call.headers, **self.headers}) if self.headers else call


@dataclass(frozen=True, slots=True, repr=False)
class _Bearer:
    """Adds the token of the moment, and the project that pays where Google names one."""

    parts: Callable[[], Mapping[str, str]]

    def __call__(self, call: Call) -> Call:
        parts = self.parts()
        own = {"Authorization": f"Bearer {parts['token']}"}
        if project := parts.get("quota_project"):
            own["x-goog-user-project"] = project
        return replace(call, headers={**call.headers, **own})


@dataclass(frozen=True, slots=True, repr=False)
class _Kept:
    """Signs with what is kept fresh."""

    sign: Sign
    kept: Any

    def __call__(self, call: Call) -> Call:
        return self.sign(call)

    @property
    def trouble(self) -> str | None:
        """Why there is no next credential; None while all is well."""
        return str(said) if (said := self.kept.trouble) else None

    def close(self) -> None:
        """Ends the process beside."""
        self.kept.close()
